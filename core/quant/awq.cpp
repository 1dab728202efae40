#include "core/quant/awq.h"

#include <torch/torch.h>

namespace qlora::quant {

using torch::Tensor;

namespace {

constexpr int steps = 20;

}  // namespace

ChannelScales choose_channel_scales(std::span<const Tensor> matrices, const Tensor& magnitudes, const Tensor& hessian,
                                    recipe::Precision precision, const BlockOptions& options) {
    // A sum over the matrices: one that gives larger numbers counts for more.
    double whole = 0;
    for (const Tensor& matrix : matrices) whole += at::mm(matrix, hessian).mul_(matrix).sum(torch::kFloat64).item<double>();
    const auto error_with = [&](const Tensor& scales) {
        double error = 0;
        for (const Tensor& matrix : matrices) {
            const Tensor off = Weight::quantized(matrix * scales, precision, options).dequantized().div_(scales).sub_(matrix);
            error += at::mm(off, hessian).mul_(off).sum(torch::kFloat64).item<double>();
        }
        return whole > 0 ? error / whole : 0;
    };
    ChannelScales best{.scales = torch::ones_like(magnitudes)};
    best.error = best.plain_error = error_with(best.scales);
    const Tensor base = magnitudes.clamp_min(1e-4 * std::max(magnitudes.max().item<double>(), 1e-30));
    for (int k = 1; k <= steps; ++k) {
        const double exponent = static_cast<double>(k) / steps;
        Tensor scales = base.pow(exponent);
        scales.div_((scales.max() * scales.min()).sqrt());
        const double error = error_with(scales);
        if (!(error < best.error)) continue;
        best.scales = scales;
        best.exponent = exponent;
        best.error = error;
    }
    return best;
}

}  // namespace qlora::quant
