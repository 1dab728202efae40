#pragma once
// Scaled dot-product attention of one head over one sequence (Vaswani et al. 2017), forward and backward, by
// blocks of queries whose scores lie in a workspace: never more than a block's scores at once, and none of
// those that the rule hides beyond whole blocks. Backward recomputes them from the saved logarithms, as in
// Dao et al., "FlashAttention" (2022). All functions: pure, single-threaded, no allocation, no exceptions;
// any thread.

#include <cstdint>

#include "kernels/dropout.h"
#include "kernels/gemm.h"

namespace qlora::kernels {

// Rows of `dim` numbers, each `stride` numbers after the one before.
template <class Number>
struct RowsOf {
    Number* data = nullptr;
    std::int64_t stride = 0;
};
using HeadRows = RowsOf<const float>;
using MutableHeadRows = RowsOf<float>;
using HalfHeadRows = RowsOf<const std::uint16_t>;  // bf16
using MutableHalfHeadRows = RowsOf<std::uint16_t>;

// Query i of `asked` stands at key i + keys - asked. `causal` hides the keys behind it, `window` (0: none)
// those that lie `window` or more before it. A query that sees no key, where there
// are none, gets zeros.
struct AttentionShape {
    std::int64_t asked = 0, keys = 0, dim = 0;
    float scale = 1;
    bool causal = true;
    std::int64_t window = 0;
    ScoreDropout dropout{};        // of the probabilities
    std::int64_t first_query = 0;  // where the first query stands, as dropout counts
};

// Floats of a workspace, which must begin at a multiple of 64 bytes and hold numbers, whichever.
std::int64_t attention_workspace(const AttentionShape& shape);
std::int64_t attention_backward_workspace(const AttentionShape& shape);

// out[i] = sum over visible j of softmax_j(scale q_i . k_j) v_j; log_sums[i * log_stride] = log of the sum of
// exponentials.
void attend(const AttentionShape& shape, HeadRows q, HeadRows k, HeadRows v, MutableHeadRows out,
            float* log_sums, std::int64_t log_stride, float* workspace);
// The same with products in bf16, of numbers that are rounded already; `rounded` gets `out` in bf16. Only where
// has_bf16_products().
void attend(const AttentionShape& shape, HalfHeadRows q, HalfHeadRows k, HalfHeadRows v, MutableHeadRows out, MutableHalfHeadRows rounded,
            float* log_sums, std::int64_t log_stride, float* workspace);

// The gradients of q, k and v from that of out: all of dq is written, those of k and v are added to dk and dv.
void attend_backward(const AttentionShape& shape, HeadRows q, HeadRows k, HeadRows v, HeadRows out,
                     const float* log_sums, std::int64_t log_stride, HeadRows dout, MutableHeadRows dq,
                     MutableHeadRows dk, MutableHeadRows dv, float* workspace);
void attend_backward(const AttentionShape& shape, HalfHeadRows q, HalfHeadRows k, HalfHeadRows v, HalfHeadRows out,
                     const float* log_sums, std::int64_t log_stride, HalfHeadRows dout, MutableHeadRows dq,
                     MutableHeadRows dk, MutableHeadRows dv, float* workspace);

}  // namespace qlora::kernels
