#pragma once
// GPTQ (Frantar et al. 2022): a matrix quantized column by column, the columns that are still to come taking over the error
// of those that are done, so that the layer's outputs suffer least on inputs like those of the calibration.

#include <torch/types.h>

#include "core/quant/weight.h"

namespace qlora::quant {

// The block that scales get where none may reach over the end of a row: `block` itself, or the largest power of two below it
// that divides `cols` and is at least 32, or the row.
std::int64_t block_within_rows(std::int64_t cols, std::int64_t block);

class ErrorFeedback {
  public:
    // `hessian`: fp32 [cols, cols], the mean of x x^T. Its diagonal gets `damping` of its own mean, and tenfold until it can
    // be inverted. Inputs that are always zero hand nothing on. Throws failure "quant.hessian" for one that is not finite.
    explicit ErrorFeedback(const torch::Tensor& hessian, double damping = 0.01);

    // values: fp32 [rows, cols] -> nf4, fp4, int4 or int3, in blocks of block_within_rows. A scale is chosen where its block
    // begins, for the weights as they are by then; of blocks that are rows, and doubly quantized, from the matrix as it was,
    // so that codes are those of the scales that are kept. Uses all threads.
    Weight quantize(const torch::Tensor& values, recipe::Precision precision, const BlockOptions& options) const;

  private:
    torch::Tensor factor_;  // fp32, the upper Cholesky factor of the inverse
};

}  // namespace qlora::quant
