// Every CUDA kernel against the CPU's, launched as the engine launches it: on the stand-in, and on a GPU where one is.
#include <cmath>

#include "cuda_device.h"
#include "golden.h"
#include "kernels/adamw.h"
#include "kernels/code_tables.h"
#include "kernels/cuda/launch.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/norm.h"
#include "kernels/reference.h"

namespace kernels = qlora::kernels;
namespace cuda = qlora::kernels::cuda;
using kernels::BlockFormat;
using kernels::Code;

namespace {

using Floats = std::vector<float>;
using Bytes = std::vector<std::uint8_t>;

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

double furthest(const Floats& got, const Floats& wanted) {
    double most = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i)
        most = std::max(most, std::isnan(got[i]) ? INFINITY : std::abs(double{got[i]} - wanted[i]) / (1 + std::abs(double{wanted[i]})));
    return most;
}

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
        : packed(device, p.packed), absmax_codes(device, p.absmax_codes), absmax(device, p.absmax), nested(device, p.nested), view(p.view) {
        view.packed = packed;
        if (p.view.absmax != nullptr) {
            view.absmax = absmax;
            return;
        }
        view.absmax_codes = absmax_codes;
        view.nested_absmax = nested;
    }
};

constexpr BlockFormat all_formats[] = {BlockFormat::f32,  BlockFormat::f16,  BlockFormat::bf16, BlockFormat::q8_0, BlockFormat::q4_0, BlockFormat::q4_1,
                                       BlockFormat::q5_0, BlockFormat::q5_1, BlockFormat::q4_k, BlockFormat::q5_k, BlockFormat::q6_k};

// Random bytes; `finite`: with scales of ordinary size.
Bytes block_data(BlockFormat format, std::int64_t n, bool finite) {
    const std::int64_t bytes = kernels::block_bytes(format), blocks = n / kernels::block_elements(format);
    Bytes data(size(blocks * bytes));
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(hash64(5, i));
    if (!finite) return data;
    const Floats scales = normal(6, 2 * blocks, 0.01f);
    for (std::int64_t b = 0; b < blocks; ++b)
        for (std::int64_t k = 0; k < (format == BlockFormat::q8_0 || format == BlockFormat::q4_0 || format == BlockFormat::q5_0 || format == BlockFormat::q6_k ? 1 : 2); ++k) {
            auto* place = data.data() + b * bytes + (format == BlockFormat::q6_k ? 208 : 2 * k);
            const float scale = scales[size(2 * b + k)];
            const std::uint16_t half = format == BlockFormat::bf16 ? kernels::reference::f32_to_bf16(scale) : kernels::reference::f32_to_f16(scale);
            if (format == BlockFormat::f32) std::memcpy(place, &scale, k == 0 ? 4 : 0);
            else if (k == 0 || kernels::block_elements(format) > 1) std::memcpy(place, &half, 2);
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
        if (std::isnan(values[i])) QVERIFY(std::isnan(bf16 ? kernels::reference::bf16_to_f32(half) : kernels::reference::f16_to_f32(half)));
        else QCOMPARE(half, bf16 ? kernels::reference::f32_to_bf16(values[i]) : kernels::reference::f32_to_f16(values[i]));
    }
}
std::size_t element_bytes(cuda::Element element) { return element == cuda::Element::f32 ? 4 : 2; }
constexpr cuda::Element all_elements[] = {cuda::Element::f32, cuda::Element::f16, cuda::Element::bf16};

}  // namespace

class CudaKernelsTest : public QObject {
    Q_OBJECT

  private slots:
    void quantizes_as_the_cpu_does_data() { CudaDevice::add_rows(); }
    void quantizes_as_the_cpu_does() {
        CUDA_DEVICE(device)
        for (const Code code : {Code::nf4, Code::fp4, Code::int4, Code::int8})
            for (const std::int64_t block : {32, 64, 256, 4096})
                for (const std::int64_t n : {std::int64_t{1}, std::int64_t{31}, block, 5 * block, 5 * block + 1, 9 * block + 17}) {
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
        for (const Code code : {Code::nf4, Code::fp4, Code::int4, Code::int8})
            for (const bool nested : {false, true})
                for (const std::int64_t cols : {1, 33, 64, 72, 1000}) {
                    constexpr std::int64_t rows = 37, first = 3, last = 31;
                    const Packed here = packed_matrix(code, rows, cols, 64, nested);
                    const PackedThere there(device, here);
                    Floats all(size(rows * cols));
                    kernels::dequantize_rows(here.view, 0, rows, all.data());
                    const std::vector<std::int64_t> ids{36, 0, 5, 5};
                    Floats gathered;
                    for (const auto id : ids) gathered.insert(gathered.end(), all.begin() + id * cols, all.begin() + (id + 1) * cols);
                    const OnDevice<std::int64_t> ids_there(device, ids);
                    for (const auto element : all_elements) {
                        OnDevice<std::uint8_t> out(device, size((last - first) * cols) * element_bytes(element));
                        cuda::dequantize_rows(device.runner(), there.view, first, last, element, out);
                        compare({all.begin() + first * cols, all.begin() + last * cols}, element, out.get());
                        OnDevice<std::uint8_t> chosen(device, gathered.size() * element_bytes(element));
                        cuda::gather_rows(device.runner(), there.view, ids_there, static_cast<std::int64_t>(ids.size()), element, chosen);
                        compare(gathered, element, chosen.get());
                    }
                }
    }

    void expands_gguf_blocks_to_the_bit_data() { CudaDevice::add_rows(); }
    void expands_gguf_blocks_to_the_bit() {
        CUDA_DEVICE(device)
        for (const BlockFormat format : all_formats)
            for (const std::int64_t cols : kernels::block_elements(format) == 1 ? std::vector<std::int64_t>{5, 64} : std::vector<std::int64_t>{256, 768}) {
                constexpr std::int64_t rows = 9, first = 2;
                const Bytes data = block_data(format, rows * cols, false);
                Floats all(size(rows * cols));
                kernels::dequantize(format, reinterpret_cast<const std::byte*>(data.data()), rows * cols, all.data());
                const OnDevice<std::uint8_t> there(device, data);
                const cuda::BlockRows matrix{format, reinterpret_cast<const std::byte*>(static_cast<std::uint8_t*>(there)), rows, cols};
                const std::vector<std::int64_t> ids{8, 0, 3};
                Floats gathered;
                for (const auto id : ids) gathered.insert(gathered.end(), all.begin() + id * cols, all.begin() + (id + 1) * cols);
                const OnDevice<std::int64_t> ids_there(device, ids);
                for (const auto element : all_elements) {
                    OnDevice<std::uint8_t> out(device, size((rows - first) * cols) * element_bytes(element));
                    cuda::dequantize_rows(device.runner(), matrix, first, rows, element, out);
                    compare({all.begin() + first * cols, all.end()}, element, out.get());
                    OnDevice<std::uint8_t> chosen(device, gathered.size() * element_bytes(element));
                    cuda::gather_rows(device.runner(), matrix, ids_there, static_cast<std::int64_t>(ids.size()), element, chosen);
                    compare(gathered, element, chosen.get());
                }
            }
    }

    void multiplies_from_the_packed_form_data() { CudaDevice::add_rows(); }
    void multiplies_from_the_packed_form() {
        CUDA_DEVICE(device)
        for (const Code code : {Code::nf4, Code::fp4, Code::int4, Code::int8})
            for (const bool nested : {false, true})
                for (const std::int64_t cols : {33, 64, 1000}) {
                    constexpr std::int64_t rows = 39;
                    const Packed here = packed_matrix(code, rows, cols, 64, nested);
                    const PackedThere there(device, here);
                    const Floats x = normal(3, cols);
                    Floats wanted(rows);
                    kernels::reference::multiply(here.view, x.data(), 0, rows, wanted.data());
                    const OnDevice<float> vector(device, x), y(device, rows);
                    cuda::multiply(device.runner(), there.view, vector, y);
                    QVERIFY(furthest(y.get(), wanted) < 2e-6);
                }
        for (const BlockFormat format : all_formats)
            for (const std::int64_t cols : kernels::block_elements(format) == 1 ? std::vector<std::int64_t>{5, 64} : std::vector<std::int64_t>{256, 768}) {
                constexpr std::int64_t rows = 6;
                const Bytes data = block_data(format, rows * cols, true);
                const Floats x = normal(3, cols);
                Floats wanted(rows);
                kernels::reference::multiply(format, reinterpret_cast<const std::byte*>(data.data()), cols, x.data(), 0, rows, wanted.data());
                const OnDevice<std::uint8_t> there(device, data);
                const OnDevice<float> vector(device, x), y(device, rows);
                cuda::multiply(device.runner(), cuda::BlockRows{format, reinterpret_cast<const std::byte*>(static_cast<std::uint8_t*>(there)), rows, cols}, vector, y);
                QVERIFY2(furthest(y.get(), wanted) < 2e-5, kernels::block_format_name(format).data());
            }
    }

    void norms_rows_data() { CudaDevice::add_rows(); }
    void norms_rows() {
        CUDA_DEVICE(device)
        for (const bool centred : {false, true})
            for (const std::int64_t width : {1, 5, 64, 576, 2500}) {
                constexpr std::int64_t rows = 5;
                Floats x = normal(1, rows * width), y(x.size()), dx(x.size());
                for (float& value : x) value += 0.5f;
                const Floats weight = normal(2, width), bias = normal(3, width), dy = normal(4, rows * width);
                kernels::NormRule rule{centred, 1e-3f, weight.data(), centred ? bias.data() : nullptr};
                kernels::norm(rule, x.data(), rows, width, y.data());
                kernels::norm_backward(rule, x.data(), dy.data(), rows, width, dx.data());
                const OnDevice<float> x_there(device, x), weight_there(device, weight), bias_there(device, bias), y_there(device, x.size()), d_there(device, dy);
                rule.weight = weight_there;
                rule.bias = centred ? static_cast<float*>(bias_there) : nullptr;
                cuda::norm(device.runner(), rule, x_there, rows, width, y_there);
                QVERIFY(furthest(y_there.get(), y) < 2e-6);
                cuda::norm_backward(device.runner(), rule, x_there, d_there, rows, width, d_there);  // in place
                QVERIFY(furthest(d_there.get(), dx) < 5e-6);
            }
    }

    void rotates_to_the_bit_data() { CudaDevice::add_rows(); }
    void rotates_to_the_bit() {
        CUDA_DEVICE(device)
        for (const bool backward : {false, true})
            for (const auto& [heads, dim, half, gap] : std::vector<std::array<std::int64_t, 4>>{{3, 64, 32, 0}, {2, 10, 5, 0}, {2, 12, 4, 4}, {1, 7, 2, 3}, {4, 16, 8, 16}}) {
                constexpr std::int64_t rows = 11;
                const std::int64_t stride = heads * dim + gap;
                const Floats x = normal(1, rows * stride), cosines = normal(2, rows * half), sines = normal(3, rows * half);
                Floats y(size(rows * heads * dim));
                kernels::Rotation rotation{heads, dim, half, cosines.data(), sines.data(), backward};
                kernels::rotate(rotation, x.data(), stride, rows, y.data());
                const OnDevice<float> x_there(device, x), cosines_there(device, cosines), sines_there(device, sines), y_there(device, y.size());
                rotation.cosines = cosines_there;
                rotation.sines = sines_there;
                cuda::rotate(device.runner(), rotation, x_there, stride, rows, y_there);
                QCOMPARE(first_difference(y_there.get(), y), std::int64_t{-1});
                if (gap > 0) continue;
                cuda::rotate(device.runner(), rotation, x_there, stride, rows, x_there);
                QCOMPARE(first_difference(x_there.get(), y), std::int64_t{-1});
            }
    }

    void gates_data() { CudaDevice::add_rows(); }
    void gates() {
        CUDA_DEVICE(device)
        for (const auto kind : {kernels::Gate::silu, kernels::Gate::gelu_tanh})
            for (const auto& [width, gap] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 0}, {64, 64}, {33, 0}, {128, 3}}) {
                constexpr std::int64_t rows = 7;
                const std::int64_t stride = width + gap;
                Floats x = normal(1, rows * stride, 3), u = normal(2, rows * stride);
                x[0] = -200, x[size(stride)] = 200;
                const Floats dout = normal(3, rows * width);
                Floats out(size(rows * width)), dgate = x, dup = u;
                kernels::gate(kind, x.data(), u.data(), stride, rows, width, out.data());
                kernels::gate_backward(kind, x.data(), u.data(), stride, dout.data(), rows, width, dgate.data(), dup.data());
                const OnDevice<float> x_there(device, x), u_there(device, u), d_there(device, dout), out_there(device, out.size());
                cuda::gate(device.runner(), kind, x_there, u_there, stride, rows, width, out_there);
                QVERIFY(furthest(out_there.get(), out) < 1e-6);
                cuda::gate_backward(device.runner(), kind, x_there, u_there, stride, d_there, rows, width, x_there, u_there);
                QVERIFY(furthest(x_there.get(), dgate) < 3e-6);
                QVERIFY(furthest(u_there.get(), dup) < 1e-6);
            }
    }

    void tells_the_loss_data() { CudaDevice::add_rows(); }
    void tells_the_loss() {
        CUDA_DEVICE(device)
        for (const std::int64_t classes : {2, 31, 512, 5003})
            for (const bool gradients : {false, true}) {
                constexpr std::int64_t rows = 6;
                Floats logits = normal(9, rows * classes, 4);
                for (std::int64_t c = 0; c < classes; ++c) logits[size(2 * classes + c)] += 300;
                std::vector<std::int64_t> targets;
                for (std::int64_t r = 0; r < rows; ++r) targets.push_back(r == 0 ? 0 : (r * 7919) % classes);
                const OnDevice<float> there(device, logits);
                const OnDevice<double> losses_there(device, rows);
                const OnDevice<std::int64_t> targets_there(device, targets);
                std::vector<double> losses(rows);
                kernels::cross_entropy(logits.data(), rows, classes, targets.data(), gradients, losses.data());
                cuda::cross_entropy(device.runner(), there, rows, classes, targets_there, gradients, losses_there);
                const auto got = losses_there.get();
                for (std::size_t r = 0; r < rows; ++r)
                    QVERIFY2(std::abs(got[r] - losses[r]) < 2e-6 * (1 + losses[r]), qPrintable(QString("%1 %2 classes %3 row %4").arg(got[r], 0, 'g', 17).arg(losses[r], 0, 'g', 17).arg(classes).arg(r)));
                QVERIFY(furthest(there.get(), logits) < 1e-6 || !gradients);
            }
    }
    void a_broken_logit_is_a_broken_loss_data() { CudaDevice::add_rows(); }
    void a_broken_logit_is_a_broken_loss() {
        CUDA_DEVICE(device)
        for (const float broken : {NAN, INFINITY})
            for (const std::int64_t at : {0, 1, 600}) {
                Floats logits = normal(9, 2 * 700);
                logits[size(at)] = broken;
                const OnDevice<float> there(device, logits);
                const OnDevice<double> losses(device, 2);
                const OnDevice<std::int64_t> targets(device, std::vector<std::int64_t>{5, 6});
                cuda::cross_entropy(device.runner(), there, 2, 700, targets, true, losses);
                QVERIFY(!std::isfinite(losses.get()[0]));
                QVERIFY(std::isfinite(losses.get()[1]));
            }
    }

    void updates_parameters_data() { CudaDevice::add_rows(); }
    void updates_parameters() {
        CUDA_DEVICE(device)
        const kernels::AdamWRule rule{.keep = 0.999f, .rate = 0.01f, .root = 0.3f, .gradient_scale = 0.7f};
        for (const std::int64_t n : {1, 4, 255, 256, 1003, 5000}) {
            Floats values = normal(1, n), first = normal(2, n, 0.01f), second = normal(3, n, 0.01f);
            const Floats gradients = normal(4, n);
            for (float& v : second) v *= v;
            const OnDevice<float> g(device, gradients), x(device, values), m(device, first), v(device, second);
            for (int step = 0; step < 3; ++step) {
                kernels::adamw(rule, gradients.data(), n, values.data(), first.data(), second.data());
                cuda::adamw(device.runner(), rule, g, n, x, m, v);
            }
            QVERIFY(furthest(x.get(), values) < 1e-6);
            QVERIFY(furthest(m.get(), first) < 1e-7);
            QVERIFY(furthest(v.get(), second) < 1e-7);
        }
    }

    void updates_moments_in_eight_bit_data() { CudaDevice::add_rows(); }
    void updates_moments_in_eight_bit() {
        CUDA_DEVICE(device)
        const kernels::AdamWRule rule{.keep = 0.999f, .rate = 0.01f, .root = 0.3f, .gradient_scale = 0.7f};
        for (const std::int64_t n : {1, 256, 1003}) {
            const std::int64_t blocks = kernels::block_count(n, kernels::moment_block);
            Floats values = normal(1, n);
            Bytes first(size(n)), second(size(n));
            Floats first_absmax(size(blocks)), second_absmax(size(blocks));
            const OnDevice<float> x(device, values), m_absmax(device, first_absmax), v_absmax(device, second_absmax);
            const OnDevice<std::uint8_t> m(device, first), v(device, second);
            for (std::uint64_t step = 0; step < 4; ++step) {
                const Floats gradients = normal(40 + step, n);
                const OnDevice<float> g(device, gradients);
                kernels::adamw_8bit(rule, gradients.data(), n, values.data(), {first.data(), first_absmax.data()}, {second.data(), second_absmax.data()});
                cuda::adamw_8bit(device.runner(), rule, g, n, x, {m, m_absmax}, {v, v_absmax});
            }
            QVERIFY(furthest(x.get(), values) < 1e-5);
            QVERIFY(furthest(m_absmax.get(), first_absmax) < 1e-6);
            QVERIFY(furthest(v_absmax.get(), second_absmax) < 1e-6);
            const auto codes_differ = [](const Bytes& a, const Bytes& b) {
                std::size_t differing = 0;
                for (std::size_t i = 0; i < a.size(); ++i)
                    if (a[i] != b[i]) differing += std::abs(int{a[i]} - int{b[i]}) > 1 ? a.size() : 1;
                return differing;
            };
            // CPUs without fused multiply-adds round otherwise.
            QVERIFY(codes_differ(m.get(), first) <= first.size() / 100);
            QVERIFY(codes_differ(v.get(), second) <= second.size() / 100);
        }
    }

    void sums_squares_data() { CudaDevice::add_rows(); }
    void sums_squares() {
        CUDA_DEVICE(device)
        for (const std::int64_t n : {1, 5, 1000, 65536, 65536 * 2 + 4099}) {
            const Floats x = normal(8, n);
            const OnDevice<float> there(device, x);
            const OnDevice<double> sums(device, size(cuda::square_sums(n)));
            cuda::sum_of_squares(device.runner(), there, n, sums);
            double got = 0, wanted = 0;
            for (const double sum : sums.get()) got += sum;
            for (const float value : x) wanted += double{value} * value;
            QVERIFY(std::abs(got - wanted) < 1e-6 * wanted);
        }
    }

    void drops_the_same_elements_data() { CudaDevice::add_rows(); }
    void drops_the_same_elements() {
        CUDA_DEVICE(device)
        for (const std::int64_t n : {1, 4, 1003}) {
            const Floats x = normal(8, n);
            const kernels::DropoutStream stream{{3, 0, 9}, {0xDEADBEEF, 17}};
            const auto rate = kernels::dropout_rate(0.25);
            Floats wanted(x.size());
            kernels::drop(rate, stream, 0, x.data(), n, wanted.data());
            QVERIFY(n < 1000 || std::ranges::count(wanted, 0.0f) > n / 5);
            const OnDevice<float> there(device, x);
            cuda::drop(device.runner(), rate, stream, there, n, there);
            QCOMPARE(first_difference(there.get(), wanted), std::int64_t{-1});
        }
        const std::vector<std::uint32_t> head_keys{7, 0xFFFFFFFF, 12345};
        for (const auto& [asked, keys] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {5, 33}, {64, 64}}) {
            const auto rate = kernels::dropout_rate(0.1);
            Floats wanted(head_keys.size() * size(asked * keys));
            for (std::size_t head = 0; head < head_keys.size(); ++head)
                kernels::score_factors({rate, head_keys[head]}, 0, asked, keys, wanted.data() + head * size(asked * keys));
            const OnDevice<std::uint32_t> keys_there(device, head_keys);
            const OnDevice<float> out(device, wanted.size());
            cuda::score_factors(device.runner(), rate, keys_there, 3, asked, keys, out);
            QCOMPARE(first_difference(out.get(), wanted), std::int64_t{-1});
        }
    }

    // The stand-in tells what a GPU would only hang on or compute wrongly.
    void the_stand_in_refuses_what_does_not_fit() {
        StandIn stand_in;
        float x = 0;
        const cuda::Argument one{&x, sizeof(x)};
        QVERIFY_THROWS_EXCEPTION(std::logic_error, stand_in.run({"norm", "nothing", 1, 32}, {&one, 1}));
        QVERIFY_THROWS_EXCEPTION(std::logic_error, stand_in.run({"dropout", "dropout", 1, 32}, {&one, 1}));
        QVERIFY_THROWS_EXCEPTION(std::length_error, cuda::norm(stand_in, {}, &x, std::int64_t{1} << 40, 1, &x));
    }
};

QTEST_GUILESS_MAIN(CudaKernelsTest)
#include "cuda_kernels_test.moc"
