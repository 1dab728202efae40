#include "core/quant/calibration.h"

#include <torch/torch.h>

#include <cmath>
#include <limits>

namespace qlora::quant {

using torch::Tensor;

namespace {

double ratio(double error, double whole) { return whole > 0 ? error / whole : error > 0 ? std::numeric_limits<double>::infinity() : 0; }

double total(const Tensor& x) { return x.sum(torch::kFloat64).item<double>(); }

}  // namespace

InputStatistics statistics_of(const Tensor& x) {
    const Tensor rows = x.to(torch::kFloat32);
    return {at::mm(rows.t(), rows).div_(static_cast<double>(x.size(0))), rows.abs().mean(0), x.size(0)};
}

double relative_squared_error(const Tensor& got, const Tensor& wanted) { return ratio(total((got - wanted).square_()), total(wanted.square())); }

double signal_to_noise(double relative) { return relative > 0 ? -10 * std::log10(relative) : std::numeric_limits<double>::infinity(); }

// The square of x d^T, summed over x, is the trace of d H d^T.
double output_error(const Tensor& got, const Tensor& wanted, const Tensor& hessian) {
    const auto square = [&](const Tensor& matrix) { return total(at::mm(matrix, hessian).mul_(matrix)); };
    return ratio(std::max(0.0, square(got - wanted)), square(wanted));
}

}  // namespace qlora::quant
