// CUDA kernels for packed weights against the CPU's, launched as the engine launches them: on the stand-in, and on a
// GPU where one is.
#include "cuda_device.h"
#include "golden.h"
#include "kernels/code_tables.h"
#include "kernels/cuda/launch.h"
#include "kernels/reference.h"

namespace kernels = qlora::kernels;
namespace cuda = qlora::kernels::cuda;
using kernels::BlockFormat;
using kernels::Code;

namespace {

// Numbers with what codes are awkward about: zeros of a whole block, a NaN, an infinity, denormals, ties.
Floats awkward(std::int64_t n, std::int64_t block, Code code) {
    Floats x = normal(7, n, 0.05f);
    for (std::int64_t i = 0; i < std::min(n, block); ++i) x[size(i)] = 0;
    const auto put = [&](std::int64_t i, float value) {
        if (i < n) x[size(i)] = value;
    };
    put(block + 3, NAN);
    put(2 * block + 5, INFINITY);
    put(3 * block, 1e-40f);
    if (kernels::four_bit(code))
        for (std::int64_t i = 0; i < 15; ++i) put(4 * block + i, kernels::thresholds(code).bounds[size(i)]);
    put(4 * block + 15, 1);
    return x;
}

struct Packed {
    Bytes packed, absmax_codes;
    Floats absmax, nested;
    float offset = 0;
    kernels::PackedRows view;
};
Packed packed_matrix(Code code, std::int64_t rows, std::int64_t cols, std::int64_t block, bool nested) {
    Packed p;
    const std::int64_t n = rows * cols;
    if (code == Code::int8) block = cols;
    p.packed.resize(size(kernels::packed_bytes(code, n)));
    p.absmax.resize(size(kernels::block_count(n, block)));
    kernels::quantize(code, normal(11, n, 0.02f).data(), n, block, p.packed.data(), p.absmax.data());
    p.view = {code, rows, cols, block, p.packed.data(), p.absmax.data()};
    if (!nested) return p;
    const auto blocks = static_cast<std::int64_t>(p.absmax.size());
    p.absmax_codes.resize(size(blocks));
    p.nested.resize(size(kernels::block_count(blocks, kernels::nested_block)));
    kernels::quantize_absmax(p.absmax.data(), blocks, p.absmax_codes.data(), p.nested.data(), &p.offset);
    p.view = {code, rows, cols, block, p.packed.data(), nullptr, p.absmax_codes.data(), p.nested.data(), p.offset};
    return p;
}

// The matrix as the device has it; the parts keep it there.
struct PackedThere {
    OnDevice<std::uint8_t> packed, absmax_codes;
    OnDevice<float> absmax, nested;
    kernels::PackedRows view;
    PackedThere(CudaDevice& device, const Packed& p)
        : packed(device, p.packed),
          absmax_codes(device, p.absmax_codes),
          absmax(device, p.absmax),
          nested(device, p.nested),
          view(p.view) {
        view.packed = packed;
        if (p.view.absmax != nullptr) {
            view.absmax = absmax;
            return;
        }
        view.absmax_codes = absmax_codes;
        view.nested_absmax = nested;
    }
};

constexpr BlockFormat all_formats[] = {BlockFormat::f32,  BlockFormat::f16,  BlockFormat::bf16, BlockFormat::q8_0,
                                       BlockFormat::q4_0, BlockFormat::q4_1, BlockFormat::q5_0, BlockFormat::q5_1,
                                       BlockFormat::q4_k, BlockFormat::q5_k, BlockFormat::q6_k};

// Random bytes; `finite`: with scales of ordinary size.
Bytes block_data(BlockFormat format, std::int64_t n, bool finite) {
    const std::int64_t bytes = kernels::block_bytes(format), blocks = n / kernels::block_elements(format);
    Bytes data(size(blocks * bytes));
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(hash64(5, i));
    if (!finite) return data;
    const Floats scales = normal(6, 2 * blocks, 0.01f);
    for (std::int64_t b = 0; b < blocks; ++b)
        for (std::int64_t k = 0; k < (format == BlockFormat::q8_0 || format == BlockFormat::q4_0 ||
                                              format == BlockFormat::q5_0 || format == BlockFormat::q6_k
                                          ? 1
                                          : 2);
             ++k) {
            auto* place = data.data() + b * bytes + (format == BlockFormat::q6_k ? 208 : 2 * k);
            const float scale = scales[size(2 * b + k)];
            const std::uint16_t half = format == BlockFormat::bf16 ? kernels::reference::f32_to_bf16(scale)
                                                                   : kernels::reference::f32_to_f16(scale);
            if (format == BlockFormat::f32)
                std::memcpy(place, &scale, k == 0 ? 4 : 0);
            else if (k == 0 || kernels::block_elements(format) > 1)
                std::memcpy(place, &half, 2);
        }
    return data;
}

// What the device is to write for these values.
void compare(const Floats& values, cuda::Element element, const std::vector<std::uint8_t>& got) {
    if (element == cuda::Element::f32) {
        Floats floats(values.size());
        std::memcpy(floats.data(), got.data(), 4 * floats.size());
        QCOMPARE(first_difference(floats, values), std::int64_t{-1});
        return;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        std::uint16_t half;
        std::memcpy(&half, got.data() + 2 * i, 2);
        const bool bf16 = element == cuda::Element::bf16;
        if (std::isnan(values[i]))
            QVERIFY(std::isnan(bf16 ? kernels::reference::bf16_to_f32(half) : kernels::reference::f16_to_f32(half)));
        else
            QCOMPARE(half,
                     bf16 ? kernels::reference::f32_to_bf16(values[i]) : kernels::reference::f32_to_f16(values[i]));
    }
}
std::size_t element_bytes(cuda::Element element) {
    return element == cuda::Element::f32 ? 4 : 2;
}
constexpr cuda::Element all_elements[] = {cuda::Element::f32, cuda::Element::f16, cuda::Element::bf16};

struct CodeAndBlock {
    Code code;
    bool row_blocks;
};
constexpr CodeAndBlock codes_and_blocks[] = {{Code::nf4, false}, {Code::fp4, false}, {Code::int4, false}, {Code::int3, false},
                                             {Code::int8, true}, {Code::nf4, true},  {Code::int4, true},  {Code::int3, true}};

}  // namespace

class CudaPackedTest : public QObject {
    Q_OBJECT

  private slots:
    void quantizes_as_the_cpu_does_data() { CudaDevice::add_rows(); }
    void quantizes_as_the_cpu_does() {
        CUDA_DEVICE(device)
        for (const Code code : {Code::nf4, Code::fp4, Code::int4, Code::int3, Code::int8})
            for (const std::int64_t block : {32, 64, 90, 256, 4096})
                for (const std::int64_t n :
                     {std::int64_t{1}, std::int64_t{31}, block, 5 * block, 5 * block + 1, 9 * block + 17}) {
                    const Floats x = awkward(n, block, code);
                    Bytes packed(size(kernels::packed_bytes(code, n)));
                    Floats absmax(size(kernels::block_count(n, block)));
                    kernels::quantize(code, x.data(), n, block, packed.data(), absmax.data());
                    const OnDevice<float> there(device, x), scales(device, absmax.size());
                    const OnDevice<std::uint8_t> codes(device, packed.size());
                    cuda::quantize(device.runner(), code, there, n, block, codes, scales);
                    QCOMPARE(codes.get(), packed);
                    QCOMPARE(first_difference(scales.get(), absmax), std::int64_t{-1});
                }
    }

    void expands_rows_to_the_bit_data() { CudaDevice::add_rows(); }
    void expands_rows_to_the_bit() {
        CUDA_DEVICE(device)
        for (const auto [code, row_blocks] : codes_and_blocks)
            for (const bool nested : {false, true})
                for (const std::int64_t cols : {1, 33, 64, 72, 1000}) {
                    constexpr std::int64_t rows = 37, first = 3, last = 31;
                    const Packed here = packed_matrix(code, rows, cols, row_blocks ? cols : 64, nested);
                    const PackedThere there(device, here);
                    Floats all(size(rows * cols));
                    kernels::dequantize_rows(here.view, 0, rows, all.data());
                    const std::vector<std::int64_t> ids{36, 0, 5, 5};
                    Floats gathered;
                    for (const auto id : ids)
                        gathered.insert(gathered.end(), all.begin() + id * cols, all.begin() + (id + 1) * cols);
                    const OnDevice<std::int64_t> ids_there(device, ids);
                    for (const auto element : all_elements) {
                        OnDevice<std::uint8_t> out(device, size((last - first) * cols) * element_bytes(element));
                        cuda::dequantize_rows(device.runner(), there.view, first, last, element, out);
                        compare({all.begin() + first * cols, all.begin() + last * cols}, element, out.get());
                        OnDevice<std::uint8_t> chosen(device, gathered.size() * element_bytes(element));
                        cuda::gather_rows(device.runner(), there.view, ids_there, static_cast<std::int64_t>(ids.size()),
                                          element, chosen);
                        compare(gathered, element, chosen.get());
                    }
                }
    }

    void expands_gguf_blocks_to_the_bit_data() { CudaDevice::add_rows(); }
    void expands_gguf_blocks_to_the_bit() {
        CUDA_DEVICE(device)
        for (const BlockFormat format : all_formats)
            for (const std::int64_t cols : kernels::block_elements(format) == 1 ? std::vector<std::int64_t>{5, 64}
                                                                                : std::vector<std::int64_t>{256, 768}) {
                constexpr std::int64_t rows = 9, first = 2;
                const Bytes data = block_data(format, rows * cols, false);
                Floats all(size(rows * cols));
                kernels::dequantize(format, reinterpret_cast<const std::byte*>(data.data()), rows * cols, all.data());
                const OnDevice<std::uint8_t> there(device, data);
                const cuda::BlockRows matrix{
                    format, reinterpret_cast<const std::byte*>(static_cast<std::uint8_t*>(there)), rows, cols};
                const std::vector<std::int64_t> ids{8, 0, 3};
                Floats gathered;
                for (const auto id : ids)
                    gathered.insert(gathered.end(), all.begin() + id * cols, all.begin() + (id + 1) * cols);
                const OnDevice<std::int64_t> ids_there(device, ids);
                for (const auto element : all_elements) {
                    OnDevice<std::uint8_t> out(device, size((rows - first) * cols) * element_bytes(element));
                    cuda::dequantize_rows(device.runner(), matrix, first, rows, element, out);
                    compare({all.begin() + first * cols, all.end()}, element, out.get());
                    OnDevice<std::uint8_t> chosen(device, gathered.size() * element_bytes(element));
                    cuda::gather_rows(device.runner(), matrix, ids_there, static_cast<std::int64_t>(ids.size()),
                                      element, chosen);
                    compare(gathered, element, chosen.get());
                }
            }
    }

    void multiplies_from_the_packed_form_data() { CudaDevice::add_rows(); }
    void multiplies_from_the_packed_form() {
        CUDA_DEVICE(device)
        for (const auto [code, row_blocks] : codes_and_blocks)
            for (const bool nested : {false, true})
                for (const std::int64_t cols : {33, 64, 1000}) {
                    constexpr std::int64_t rows = 39;
                    const Packed here = packed_matrix(code, rows, cols, row_blocks ? cols : 64, nested);
                    const PackedThere there(device, here);
                    const Floats x = normal(3, cols);
                    Floats wanted(rows);
                    kernels::reference::multiply(here.view, x.data(), 0, rows, wanted.data());
                    const OnDevice<float> vector(device, x), y(device, rows);
                    cuda::multiply(device.runner(), there.view, vector, y);
                    QVERIFY(furthest(y.get(), wanted) < 2e-6);
                }
        for (const BlockFormat format : all_formats)
            for (const std::int64_t cols : kernels::block_elements(format) == 1 ? std::vector<std::int64_t>{5, 64}
                                                                                : std::vector<std::int64_t>{256, 768}) {
                constexpr std::int64_t rows = 6;
                const Bytes data = block_data(format, rows * cols, true);
                const Floats x = normal(3, cols);
                Floats wanted(rows);
                kernels::reference::multiply(format, reinterpret_cast<const std::byte*>(data.data()), cols, x.data(), 0,
                                             rows, wanted.data());
                const OnDevice<std::uint8_t> there(device, data);
                const OnDevice<float> vector(device, x), y(device, rows);
                cuda::multiply(
                    device.runner(),
                    cuda::BlockRows{format, reinterpret_cast<const std::byte*>(static_cast<std::uint8_t*>(there)), rows,
                                    cols},
                    vector, y);
                QVERIFY2(furthest(y.get(), wanted) < 2e-5, kernels::block_format_name(format).data());
            }
    }
};

QTEST_GUILESS_MAIN(CudaPackedTest)
#include "cuda_packed_test.moc"
