#pragma once
// What calibration keeps of the numbers that linear layers read, and the error of what they give.

#include <torch/types.h>

#include "core/quant/weight.h"

namespace qlora::quant {

// Of inputs x [T, cols].
struct InputStatistics {
    torch::Tensor hessian;     // fp32 [cols, cols], the mean of x x^T
    torch::Tensor magnitudes;  // fp32 [cols], the mean of |x|
    std::int64_t tokens = 0;
};
InputStatistics statistics_of(const torch::Tensor& x);

// How far `got` is from `wanted`, both fp32 of one shape: the squared error over the square of what is wanted, and the same
// in decibels.
double relative_squared_error(const torch::Tensor& got, const torch::Tensor& wanted);
double signal_to_noise(double relative_squared_error);  // infinite for 0

// The same of the outputs x got^T against x wanted^T, for x of these statistics. Weights [rows, cols].
double output_error(const torch::Tensor& got, const torch::Tensor& wanted, const torch::Tensor& hessian);

}  // namespace qlora::quant
