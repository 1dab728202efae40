#pragma once
// Matrix products with a frozen weight, in whatever form it is kept, or with a plain matrix. In fp32 they are our own
// (kernels/gemm.h): straight from the packed form, and the same to the bit for any number of threads; there `arithmetic` says
// what operands are rounded to. On a GPU tiles are expanded by our own kernels in the operands' type and multiplied by
// LibTorch's; there sums are fp32 as well. Other dtypes, on whatever device, go through LibTorch, tile by tile. All use all
// threads; any thread may call.

#include <torch/types.h>

#include <cstdint>
#include <functional>

#include "core/quant/weight.h"
#include "kernels/gemm.h"

namespace qlora::quant {

using kernels::Arithmetic;

// Whether numbers are for our own kernels for CPUs: fp32, and there.
bool ours(const torch::Tensor& x);

// x[T, cols] W^T -> [T, rows], and dy[T, rows] W -> [T, cols], in x's dtype, which is W's where W is plain.
torch::Tensor matmul_transposed(const torch::Tensor& x, const Weight& weight, Arithmetic arithmetic = Arithmetic::fp32);
torch::Tensor matmul_transposed(const torch::Tensor& x, const torch::Tensor& weight, Arithmetic arithmetic = Arithmetic::fp32);
torch::Tensor matmul(const torch::Tensor& dy, const Weight& weight, Arithmetic arithmetic = Arithmetic::fp32);
torch::Tensor matmul(const torch::Tensor& dy, const torch::Tensor& weight, Arithmetic arithmetic = Arithmetic::fp32);
// The same, added to y or dx.
void add_matmul(torch::Tensor& dx, const torch::Tensor& dy, const Weight& weight, Arithmetic arithmetic = Arithmetic::fp32);
void add_matmul_transposed(torch::Tensor& y, const torch::Tensor& x, const torch::Tensor& weight, Arithmetic arithmetic = Arithmetic::fp32);
void add_matmul(torch::Tensor& dx, const torch::Tensor& dy, const torch::Tensor& weight, Arithmetic arithmetic = Arithmetic::fp32);

// Calls f(first_row, tile) for consecutive tiles of the weight, each [n, cols] in `dtype`. The tile is reused.
void for_each_tile(const Weight& weight, torch::ScalarType dtype, const std::function<void(std::int64_t, const torch::Tensor&)>& f);

}  // namespace qlora::quant
