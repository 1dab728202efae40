#include "core/quant/weight.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "core/base/error.h"
#include "core/gpu/gpu.h"
#include "core/quant/scratch.h"
#include "kernels/half.h"

namespace qlora::quant {

using recipe::Precision;
using torch::Tensor;

namespace {

// Elements a thread should have at least before work is split.
constexpr std::int64_t grain_elements = 16384;

std::int64_t grain(std::int64_t elements_a_unit) { return std::max<std::int64_t>(1, grain_elements / elements_a_unit); }

Tensor byte_tensor(std::int64_t n) { return torch::empty({n}, torch::kUInt8); }

std::int64_t tensor_bytes(const Tensor& t) { return t.defined() ? static_cast<std::int64_t>(t.nbytes()) : 0; }

std::string dense_name(torch::ScalarType type) {
    return type == torch::kFloat32 ? "fp32" : type == torch::kFloat16 ? "fp16" : "bf16";
}

kernels::BlockFormat format_of(const Tensor& dense) {
    return dense.scalar_type() == torch::kFloat32   ? kernels::BlockFormat::f32
           : dense.scalar_type() == torch::kFloat16 ? kernels::BlockFormat::f16
                                                    : kernels::BlockFormat::bf16;
}

void convert_row(const Tensor& values, std::int64_t begin, std::int64_t count, float* out) {
    if (values.scalar_type() == torch::kFloat32) {
        std::memcpy(out, values.data_ptr<float>() + begin, static_cast<std::size_t>(count) * sizeof(float));
        return;
    }
    const auto* half = static_cast<const std::uint16_t*>(values.data_ptr()) + begin;
    if (values.scalar_type() == torch::kFloat16) kernels::f16_to_f32(half, count, out);
    else kernels::bf16_to_f32(half, count, out);
}

// Calls f(first row, fp32 tile) for tiles that begin at multiples of `unit` rows.
void for_each_row_tile(std::int64_t rows, std::int64_t cols, std::int64_t unit, const RowReader& read,
                       const std::function<void(std::int64_t, const Tensor&)>& f) {
    const std::int64_t tile_rows = std::min(rows, std::max<std::int64_t>(1, tile_elements / cols / unit) * unit);
    for (std::int64_t begin = 0; begin < rows; begin += tile_rows) {
        const std::int64_t count = std::min(tile_rows, rows - begin);
        const Tensor tile = scratch_tile(count, cols);
        read(begin, begin + count, tile.data_ptr<float>());
        f(begin, tile);
    }
}

}  // namespace

kernels::Code code_of(Precision precision) {
    switch (precision) {
        case Precision::int8: return kernels::Code::int8;
        case Precision::nf4: return kernels::Code::nf4;
        case Precision::fp4: return kernels::Code::fp4;
        case Precision::int3: return kernels::Code::int3;
        default: return kernels::Code::int4;
    }
}

Weight Weight::dense(Tensor values) {
    Weight weight;
    weight.rows_ = values.size(0);
    weight.cols_ = values.size(1);
    weight.form_ = dense_name(values.scalar_type());
    weight.storage_ = Dense{values.contiguous()};
    return weight;
}

Weight Weight::quantized(const Tensor& values, Precision precision, const BlockOptions& options) {
    if (precision == Precision::fp32 || precision == Precision::native) return dense(values);
    const float* x = values.const_data_ptr<float>();
    const std::int64_t cols = values.size(1);
    auto read = [&](std::int64_t begin, std::int64_t end, float* out) {
        std::memcpy(out, x + begin * cols, static_cast<std::size_t>((end - begin) * cols) * sizeof(float));
    };
    return quantized(values.size(0), cols, read, precision, options);
}

Weight Weight::quantized(std::int64_t rows, std::int64_t cols, const RowReader& read, Precision precision, const BlockOptions& options) {
    if (precision == Precision::fp32 || precision == Precision::native) {
        Tensor values = torch::empty({rows, cols}, torch::kFloat32);
        read(0, rows, values.data_ptr<float>());
        return dense(values);
    }
    if (precision == Precision::fp16 || precision == Precision::bf16) {
        Tensor values = torch::empty({rows, cols}, precision == Precision::fp16 ? torch::kFloat16 : torch::kBFloat16);
        for_each_row_tile(rows, cols, 1, read, [&](std::int64_t begin, const Tensor& tile) { values.narrow(0, begin, tile.size(0)).copy_(tile); });
        return dense(values);
    }
    Weight weight;
    weight.rows_ = rows;
    weight.cols_ = cols;
    weight.form_ = recipe::name(precision);
    Blockwise b;
    b.code = code_of(precision);
    const bool four_bit = kernels::four_bit(b.code);
    b.block = four_bit && options.block > 0 ? options.block : cols;
    const std::int64_t n = rows * cols, blocks = kernels::block_count(n, b.block);
    b.packed = byte_tensor(kernels::packed_bytes(b.code, n));
    Tensor absmax = torch::empty({blocks}, torch::kFloat32);
    auto* packed = b.packed.data_ptr<std::uint8_t>();
    float* scales = absmax.data_ptr<float>();
    // Tiles and the shares of threads begin where a block does, and a byte.
    const std::int64_t blocks_a_share = four_bit && b.block % 2 == 1 ? 2 : 1, share = blocks_a_share * b.block;
    for_each_row_tile(rows, cols, share / std::gcd(cols, share), read, [&](std::int64_t row, const Tensor& tile) {
        const float* x = tile.const_data_ptr<float>();
        const std::int64_t start = row * cols, size = tile.numel();
        at::parallel_for(0, kernels::block_count(size, share), grain(share), [&](std::int64_t begin, std::int64_t end) {
            const std::int64_t first = begin * share, count = std::min(end * share, size) - first, at = start + first;
            std::uint8_t* codes = packed + (four_bit ? at / 2 : at);
            float* own_scales = scales + at / b.block;
            if (four_bit && options.scales == ScaleChoice::search) {
                kernels::search_scales(b.code, x + first, count, b.block, own_scales);
                kernels::encode(b.code, x + first, count, b.block, own_scales, codes);
            } else {
                kernels::quantize(b.code, x + first, count, b.block, codes, own_scales);
            }
        });
    });
    if (four_bit && options.double_quantization) {
        b.absmax_codes = byte_tensor(blocks);
        b.nested_absmax = torch::empty({kernels::block_count(blocks, kernels::nested_block)}, torch::kFloat32);
        kernels::quantize_absmax(scales, blocks, b.absmax_codes.data_ptr<std::uint8_t>(),
                                 b.nested_absmax.data_ptr<float>(), &b.offset);
    } else {
        b.absmax = absmax;
    }
    weight.storage_ = std::move(b);
    return weight;
}

Weight Weight::prequantized(const Prequantized& parts, const std::string& file, const std::string& tensor) {
    auto refuse = [&](const char* code, const std::string& what) {
        throw input_error(code, file, "the tensor \"" + tensor + "\": " + what, "The file is damaged; download it again.");
    };
    Blockwise b;
    b.code = code_of(parts.precision);
    b.block = parts.block;
    b.offset = parts.offset;
    const bool four_bit = kernels::four_bit(b.code), power = b.block > 0 && (b.block & (b.block - 1)) == 0;
    if (b.block != parts.cols && !(four_bit && power && b.block >= 32 && b.block <= 4096))
        refuse("weight.block", std::string("expected blocks of ") + (four_bit ? "a power of two from 32 to 4096, or of a row" : "one row") +
                                   ", got " + std::to_string(b.block) + " elements");
    auto expect_size = [&](const char* what, std::int64_t expected, std::int64_t got) {
        if (expected != got)
            refuse("weight.size", std::string("expected ") + std::to_string(expected) + " " + what + ", got " + std::to_string(got));
    };
    auto expect_finite = [&](const char* what, const Tensor& values) {
        if (!std::isfinite(values.sum().item<float>()) && !at::isfinite(values).all().item<bool>())
            refuse("weight.absmax", std::string("its ") + what + " holds NaN or infinite values");
    };
    const std::int64_t n = parts.rows * parts.cols, blocks = kernels::block_count(n, b.block);
    expect_size("packed bytes", kernels::packed_bytes(b.code, n), static_cast<std::int64_t>(parts.packed.size()));
    if (parts.absmax.defined()) {
        expect_size("scales", blocks, parts.absmax.numel());
        expect_finite("absmax", parts.absmax);
        b.absmax = parts.absmax.to(torch::kFloat32).contiguous();
    } else {
        expect_size("scales", blocks, parts.absmax_codes.numel());
        expect_size("nested scales", kernels::block_count(blocks, kernels::nested_block), parts.nested_absmax.numel());
        expect_finite("nested absmax", parts.nested_absmax);
        if (!std::isfinite(b.offset)) refuse("weight.absmax", "the offset of its scales is not finite");
        b.absmax_codes = parts.absmax_codes.contiguous();
        b.nested_absmax = parts.nested_absmax.to(torch::kFloat32).contiguous();
    }
    b.packed = byte_tensor(static_cast<std::int64_t>(parts.packed.size()));
    std::memcpy(b.packed.data_ptr(), parts.packed.data(), parts.packed.size());
    Weight weight;
    weight.rows_ = parts.rows;
    weight.cols_ = parts.cols;
    weight.form_ = recipe::name(parts.precision);
    weight.storage_ = std::move(b);
    return weight;
}

Weight Weight::packed(kernels::BlockFormat format, std::int64_t rows, std::int64_t cols, const std::byte* bytes) {
    Weight weight;
    weight.rows_ = rows;
    weight.cols_ = cols;
    weight.form_ = kernels::block_format_name(format);
    const std::int64_t size = rows * cols / kernels::block_elements(format) * kernels::block_bytes(format);
    Gguf gguf{format, byte_tensor(size)};
    std::memcpy(gguf.packed.data_ptr(), bytes, static_cast<std::size_t>(size));
    weight.storage_ = std::move(gguf);
    return weight;
}

std::vector<std::pair<std::string, Tensor>> Weight::storage() const {
    std::vector<std::pair<std::string, Tensor>> parts;
    if (auto* d = std::get_if<Dense>(&storage_)) parts = {{"weight", d->values}};
    if (auto* g = std::get_if<Gguf>(&storage_)) parts = {{"weight", g->packed}};
    if (auto* b = std::get_if<Blockwise>(&storage_)) {
        parts = {{"weight", b->packed}};
        if (b->absmax.defined()) {
            parts.emplace_back("absmax", b->absmax);
        } else {
            parts.emplace_back("absmax", b->absmax_codes);
            parts.emplace_back("nested_absmax", b->nested_absmax);
            parts.emplace_back("offset", torch::scalar_tensor(b->offset, torch::kFloat32));
        }
    }
    return parts;
}

std::int64_t Weight::bytes() const {
    std::int64_t total = 0;
    for (const auto& [name, tensor] : storage()) total += tensor_bytes(tensor);
    return total;
}

std::int64_t Weight::block() const {
    auto* b = std::get_if<Blockwise>(&storage_);
    return b != nullptr ? b->block : 0;
}

kernels::PackedRows Weight::view(const Blockwise& b) const {
    kernels::PackedRows rows{b.code, rows_, cols_, b.block, b.packed.const_data_ptr<std::uint8_t>()};
    if (b.absmax.defined()) {
        rows.absmax = b.absmax.const_data_ptr<float>();
    } else {
        rows.absmax_codes = b.absmax_codes.const_data_ptr<std::uint8_t>();
        rows.nested_absmax = b.nested_absmax.const_data_ptr<float>();
        rows.offset = b.offset;
    }
    return rows;
}

void Weight::expand(std::int64_t begin, std::int64_t end, float* out) const {
    at::parallel_for(begin, end, grain(cols_), [&](std::int64_t from, std::int64_t to) {
        float* target = out + (from - begin) * cols_;
        if (auto* b = std::get_if<Blockwise>(&storage_)) {
            kernels::dequantize_rows(view(*b), from, to, target);
        } else if (auto* g = std::get_if<Gguf>(&storage_)) {
            const std::int64_t row_bytes = cols_ / kernels::block_elements(g->format) * kernels::block_bytes(g->format);
            auto* data = static_cast<const std::byte*>(g->packed.data_ptr()) + from * row_bytes;
            kernels::dequantize(g->format, data, (to - from) * cols_, target);
        } else {
            convert_row(std::get<Dense>(storage_).values, from * cols_, (to - from) * cols_, target);
        }
    });
}

const Tensor& Weight::dense_values() const {
    static const Tensor none;
    auto* d = std::get_if<Dense>(&storage_);
    return d != nullptr ? d->values : none;
}

const Tensor& Weight::dense_fp32() const {
    static const Tensor none;
    const Tensor& values = dense_values();
    return values.defined() && values.scalar_type() == torch::kFloat32 ? values : none;
}

Tensor Weight::dequantized() const {
    if (dense_fp32().defined()) return dense_fp32();
    Tensor out = torch::empty({rows_, cols_}, torch::TensorOptions(device()).dtype(torch::kFloat32));
    if (gpu::on(device())) expand_on_gpu(0, rows_, out);
    else expand(0, rows_, out.data_ptr<float>());
    return out;
}

Tensor Weight::gather(const Tensor& ids) const {
    if (auto* d = std::get_if<Dense>(&storage_)) return d->values.index_select(0, ids).to(torch::kFloat32);
    if (gpu::on(device())) return gather_on_gpu(ids);
    Tensor out = torch::empty({ids.numel(), cols_}, torch::kFloat32);
    const auto* index = ids.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < ids.numel(); ++i) expand(index[i], index[i] + 1, out.data_ptr<float>() + i * cols_);
    return out;
}

void Weight::multiply(const float* x, float* y) const {
    at::parallel_for(0, rows_, grain(cols_), [&](std::int64_t begin, std::int64_t end) {
        if (auto* b = std::get_if<Blockwise>(&storage_)) {
            kernels::multiply(view(*b), x, begin, end, y);
        } else if (auto* g = std::get_if<Gguf>(&storage_)) {
            kernels::multiply(g->format, static_cast<const std::byte*>(g->packed.data_ptr()), cols_, x, begin, end, y);
        } else {
            const Tensor& values = std::get<Dense>(storage_).values;
            kernels::multiply(format_of(values), static_cast<const std::byte*>(values.data_ptr()), cols_, x, begin, end, y);
        }
    });
}

void Weight::with_matrix(const std::function<void(const kernels::AnyMatrix&)>& f) const {
    if (auto* b = std::get_if<Blockwise>(&storage_)) {
        const kernels::PackedRows packed = view(*b);
        f(kernels::any_matrix(packed));
    } else if (auto* g = std::get_if<Gguf>(&storage_)) {
        f(kernels::any_matrix(g->format, g->packed.const_data_ptr(), rows_, cols_));
    } else {
        const Tensor& values = std::get<Dense>(storage_).values;
        f(kernels::any_matrix(format_of(values), values.const_data_ptr(), rows_, cols_));
    }
}

}  // namespace qlora::quant
