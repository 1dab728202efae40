#include "core/quant/gptq.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "core/base/error.h"
#include "kernels/error_feedback.h"
#include "kernels/quantize.h"

namespace qlora::quant {

using torch::Tensor;

namespace {

// Columns between two products that carry their errors to all columns behind them.
constexpr std::int64_t lazy_columns = 128;

void choose_scales(kernels::Code code, ScaleChoice choice, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* unused, float* scales) {
    if (choice == ScaleChoice::search) kernels::search_scales(code, x, n, block, scales);
    else kernels::quantize(code, x, n, block, unused, scales);
}

}  // namespace

std::int64_t block_within_rows(std::int64_t cols, std::int64_t block) {
    for (; block >= 32; block /= 2)
        if (cols % block == 0) return block;
    return cols;
}

ErrorFeedback::ErrorFeedback(const Tensor& hessian, double damping) {
    if (!at::isfinite(hessian).all().item<bool>())
        throw failure("quant.hessian", "calibration", "the inputs that were seen in calibration hold NaN or infinite numbers", "The model or the adapter is damaged.");
    Tensor h = hessian.to(torch::kFloat64, /*non_blocking=*/false, /*copy=*/true);
    Tensor diagonal = h.diagonal();
    const double mean = std::max(diagonal.mean().item<double>(), 1e-30);
    diagonal.masked_fill_(diagonal == 0, mean);
    for (double part = damping; part <= 1e3; part *= 10) {
        diagonal.add_(part * mean);
        const auto [lower, failed] = at::linalg_cholesky_ex(h);
        if (failed.item<int>() != 0) continue;
        const auto [upper, again] = at::linalg_cholesky_ex(at::cholesky_inverse(lower), /*upper=*/true);
        if (again.item<int>() != 0) continue;
        factor_ = upper.to(torch::kFloat32).contiguous();
        return;
    }
    throw failure("quant.hessian", "calibration", "the inputs that were seen in calibration give no matrix that can be inverted", "Calibrate on a longer text.");
}

Weight ErrorFeedback::quantize(const Tensor& values, recipe::Precision precision, const BlockOptions& options) const {
    const std::int64_t rows = values.size(0), cols = values.size(1);
    const std::int64_t block = options.block > 0 ? block_within_rows(cols, options.block) : cols, blocks = cols / block;
    const kernels::Code code = code_of(precision);
    Tensor work = values.clone(at::MemoryFormat::Contiguous), scales = torch::empty({rows, blocks}), codes = torch::empty({rows, cols}, torch::kUInt8);
    Prequantized parts{.precision = precision, .rows = rows, .cols = cols, .block = block, .packed = {}};
    float *w = work.data_ptr<float>(), *scale = scales.data_ptr<float>();
    auto* out = codes.data_ptr<std::uint8_t>();
    const bool ahead = blocks == 1 || options.double_quantization;
    if (ahead)
        at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t r = begin; r < end; ++r)
                choose_scales(code, options.scales, w + r * cols, cols, block, out + r * cols, scale + r * blocks);
        });
    if (options.double_quantization) {
        const std::int64_t n = rows * blocks;
        parts.absmax_codes = torch::empty({n}, torch::kUInt8);
        parts.nested_absmax = torch::empty({kernels::block_count(n, kernels::nested_block)});
        auto* nested = parts.nested_absmax.data_ptr<float>();
        auto* own = parts.absmax_codes.data_ptr<std::uint8_t>();
        kernels::quantize_absmax(scale, n, own, nested, &parts.offset);
        kernels::dequantize_absmax(own, nested, parts.offset, 0, n, scale);
    }

    const std::int64_t step = std::max(lazy_columns, blocks == 1 ? 0 : block);
    Tensor errors = torch::empty({rows, step});
    const float* factor = factor_.const_data_ptr<float>();
    for (std::int64_t first = 0; first < cols; first += step) {
        const std::int64_t last = std::min(cols, first + step);
        at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t r = begin; r < end; ++r) {
                float* row = w + r * cols;
                float* lost = errors.data_ptr<float>() + r * step;
                for (std::int64_t from = first; from < last; from += ahead ? last - first : block) {
                    const std::int64_t to = ahead ? last : from + block;
                    if (!ahead) choose_scales(code, options.scales, row + from, block, block, out + r * cols + from, scale + r * blocks + from / block);
                    kernels::code_with_feedback(code, row, factor, cols, from, to, scale + r * blocks, block, out + r * cols, lost + (from - first));
                    // What is left of this stripe of columns.
                    for (std::int64_t c = from; c < to && to < last; ++c) {
                        const float error = lost[c - first];
                        for (std::int64_t later = to; later < last; ++later) row[later] -= error * factor[c * cols + later];
                    }
                }
            }
        });
        if (last < cols) work.narrow(1, last, cols - last).sub_(at::mm(errors.narrow(1, 0, last - first), factor_.narrow(0, first, last - first).narrow(1, last, cols - last)));
    }
    if (!options.double_quantization) parts.absmax = scales.view({-1});
    Tensor packed = torch::empty({kernels::packed_bytes(code, rows * cols)}, torch::kUInt8);
    kernels::pack_codes(code, out, rows * cols, packed.data_ptr<std::uint8_t>());
    parts.packed = {static_cast<const std::byte*>(packed.const_data_ptr()), packed.nbytes()};
    return Weight::prequantized(parts, "calibration", "weight");
}

}  // namespace qlora::quant
