#pragma once
// Weight-decomposed low-rank adaptation (DoRA, Liu et al. 2024), as PEFT computes it:
//   y = W x + (c - 1) * W d(x) + c * scale * B A d(x),   c = m / ||W + scale * B A||  (a length per output row, no gradient
// through it), d being dropout. Without dropout that is c * (W x + scale * B A x).

#include "core/nn/functions/linear.h"

namespace qlora::nn {

// The lengths of the rows of W, squared; fp32 [rows]. Once a weight: W is frozen.
torch::Tensor squared_row_norms(const quant::Weight& weight);

// ||W + scale * B A|| of each row, fp32 [rows], from the branch's base_square_norms and thin products; W is expanded tile by
// tile, never whole. No gradient.
torch::Tensor adapted_row_norms(const quant::Weight& weight, const LowRank& branch);

// x [T, in] -> [T, out], without the bias. Saves x, x A^T and the product before it is scaled.
torch::Tensor dora_linear(const torch::Tensor& x, const quant::Weight& weight, const LowRank& branch, const DropoutKey& dropout);

}  // namespace qlora::nn
