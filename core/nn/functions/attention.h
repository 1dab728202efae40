#pragma once
// Softmax attention over packed sequences and over a key/value cache.

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/nn/functions/arithmetic.h"
#include "core/nn/functions/dropout.h"
#include "core/nn/functions/relative_bias.h"

namespace qlora::nn {

struct AttentionRule {
    double scale = 1;         // of the scores
    double softcap = 0;       // scores become softcap * tanh(score / softcap) (Gemma 2); 0: they stay
    std::int64_t window = 0;  // causal: how many tokens one sees, itself included (Mistral); 0: all that precede it
    bool causal = true;       // false: tokens see their whole segment
    Arithmetic arithmetic = Arithmetic::fp32;  // of the products of our own kernels
    AttentionDropout dropout{};
};

// q [T, heads, D], k and v [L, kv_heads, D] (heads a multiple of kv_heads) -> [T, heads, D]. Segment i of q, which begins at
// starts[i] (behind the last one stands T), attends to segment i of k and v, which begins at key_starts[i]. Where the rule is
// causal its tokens are the last of those it attends to. `bias`, where given, decides by itself what is seen; then the rule has
// no window and no soft-cap. The second tensor is the result as it is kept for backward (elementwise.h), without a gradient;
// undefined where the bias is trained, whose gradient takes attention by its definition.
std::pair<torch::Tensor, torch::Tensor> packed_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                               const std::vector<std::int32_t>& starts, const std::vector<std::int32_t>& key_starts, const AttentionRule& rule,
                               const std::shared_ptr<RelativeBias>& bias = nullptr);
// Within their own segments: key_starts = starts.
inline std::pair<torch::Tensor, torch::Tensor> packed_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                               const std::vector<std::int32_t>& starts, const AttentionRule& rule,
                               const std::shared_ptr<RelativeBias>& bias = nullptr) {
    return packed_attention(q, k, v, starts, starts, rule, bias);
}

// The last T of the L tokens in k, v [L, kv_heads, D] ask, q [T, heads, D]; where the rule is not causal, all ask all.
// No gradients.
torch::Tensor cached_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                               const AttentionRule& rule, RelativeBias* bias = nullptr);

}  // namespace qlora::nn
