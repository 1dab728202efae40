#pragma once
// Attention over packed sequences by our own kernels for CPUs (kernels/attention.h), heads and ranges of queries shared among all
// threads; the same to the bit for any number of them.

#include <torch/types.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "core/nn/functions/attention.h"

namespace qlora::nn {

// Segment i of the queries begins at starts[i], of the keys at key_starts[i]; behind the last stands their number.
struct Segments {
    std::vector<std::int64_t> starts, key_starts;

    std::size_t count() const { return starts.size() - 1; }
    std::int64_t length(std::size_t i) const { return starts[i + 1] - starts[i]; }
    std::int64_t keys(std::size_t i) const { return key_starts[i + 1] - key_starts[i]; }
};

// q's heads, those of k and v, and numbers of a head.
struct Dims {
    std::int64_t heads, kv_heads, dim;
    std::int64_t group() const { return heads / kv_heads; }
};

// q [T, heads * dim], k and v [L, kv_heads * dim]: all in fp32, or all in bf16, and then products are in bf16 (only where
// kernels::has_bf16_products()).
struct PackedHeads {
    torch::Tensor q, k, v;
    Dims dims;
};

// Sets out [T, heads * dim] and log_sums [T, heads], both fp32, the latter the logarithms of the sums of exponentials. Gives `out`
// in bf16 where the numbers are, undefined otherwise. The rule has no soft-cap.
torch::Tensor own_attention(const PackedHeads& from, const Segments& segments, const AttentionRule& rule, const torch::Tensor& out, torch::Tensor& log_sums);

// Sets dq [T, heads * dim], and gives the gradients of k and v, [L, kv_heads * dim], all fp32. dout and out in the numbers' type.
std::pair<torch::Tensor, torch::Tensor> own_attention_backward(const torch::Tensor& dout, const PackedHeads& from, const torch::Tensor& out,
                                                               const torch::Tensor& log_sums, const Segments& segments, const AttentionRule& rule,
                                                               const torch::Tensor& dq);

}  // namespace qlora::nn
