#pragma once
// Softmax attention over packed sequences and over a key/value cache.

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace qlora::nn {

struct AttentionRule {
    double scale = 1;         // of the scores
    double softcap = 0;       // scores become softcap * tanh(score / softcap) (Gemma 2); 0: they stay
    std::int64_t window = 0;  // how many tokens one sees, itself included (Mistral); 0: all that precede it
};

// Causal. q [T, heads, D], k and v [T, kv_heads, D] (heads a multiple of kv_heads) -> [T, heads, D]. Tokens attend to
// themselves and to what precedes them in their own segment: `starts` holds each segment's first token and, last, T.
torch::Tensor packed_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                               const std::vector<std::int32_t>& starts, const AttentionRule& rule);

// The last T of the L tokens in k, v [L, kv_heads, D] ask, q [T, heads, D]. No gradients.
torch::Tensor cached_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                               const AttentionRule& rule);

}  // namespace qlora::nn
