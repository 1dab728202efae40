#pragma once
// Matrix products with a frozen weight, in whatever form it is kept, or with a plain matrix. In fp32 they are our own
// (kernels/gemm.h): straight from the packed form, and the same to the bit for any number of threads. On a GPU tiles are
// expanded by our own kernels in the operands' type and multiplied by LibTorch's; there sums are fp32 as well. Other dtypes, on
// whatever device, go through LibTorch, tile by tile. All use all threads; any thread may call.

#include <torch/types.h>

#include <cstdint>
#include <functional>

#include "core/quant/operand.h"
#include "core/quant/weight.h"

namespace qlora::quant {

// A further product of as many rows and columns that is added, A W^T or A W as the other is; where it can be, in the same pass.
struct Added {
    const Operand& a;
    const Operand& w;
};

// x[T, cols] W^T -> [T, rows], and dy[T, rows] W -> [T, cols], in the dtype of their numbers, which is W's where W is plain. The
// left side says in what is computed. `added` may be null.
torch::Tensor matmul_transposed(const Operand& x, const Weight& weight, const Added* added = nullptr);
torch::Tensor matmul_transposed(const Operand& x, const Operand& weight);
torch::Tensor matmul(const Operand& dy, const Weight& weight, const Added* added = nullptr);
torch::Tensor matmul(const Operand& dy, const Operand& weight);
// The same, added to y or dx.
void add_matmul(torch::Tensor& dx, const Operand& dy, const Weight& weight, const Added* added = nullptr);
void add_matmul_transposed(torch::Tensor& y, const Operand& x, const Operand& weight);
void add_matmul(torch::Tensor& dx, const Operand& dy, const Operand& weight);
// dw[N, cols] + dy[T, N]^T x[T, cols].
void add_turned_matmul(torch::Tensor& dw, const Operand& dy, const Operand& x);

// x W^T by stripes of so many columns, a multiple of 32, for numbers that our own kernels take: f(first column, columns, product
// [T, columns] without gaps), each on some thread, where the product is there until f returns.
void for_each_stripe(const Operand& x, const Weight& weight, std::int64_t columns, const std::function<void(std::int64_t, std::int64_t, const float*)>& f);

// Calls f(first_row, tile) for consecutive tiles of the weight, each [n, cols] in `dtype`. The tile is reused.
void for_each_tile(const Weight& weight, torch::ScalarType dtype, const std::function<void(std::int64_t, const torch::Tensor&)>& f);

}  // namespace qlora::quant
