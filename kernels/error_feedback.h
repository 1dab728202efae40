#pragma once
// Coding a row of weights element by element, where what one element loses is made up for by those behind it (GPTQ, Frantar
// et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", 2022). Pure, single-threaded,
// no allocation, no exceptions; any thread.

#include <cstdint>

#include "kernels/codes.h"

namespace qlora::kernels {

// Columns [begin, end) of one row of four-bit codes. `row` [cols] holds the weights, of which these columns and no others are
// changed on the way; `factor` is the upper Cholesky factor [cols, cols] of the inverse Hessian. A scale belongs to `block`
// columns; `scales` holds the row's, from its first block on. Out: a code a byte into codes [begin, end) and what each
// column hands on, its error over its diagonal element, into errors [end - begin].
void code_with_feedback(Code code, float* row, const float* factor, std::int64_t cols, std::int64_t begin, std::int64_t end,
                        const float* scales, std::int64_t block, std::uint8_t* codes, float* errors);

// Codes, a byte each, [n] -> packed [packed_bytes(code, n)] as quantize() lays them out.
void pack_codes(Code code, const std::uint8_t* codes, std::int64_t n, std::uint8_t* packed);

}  // namespace qlora::kernels
