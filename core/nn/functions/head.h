#pragma once
// The output head and its cross-entropy, in chunks of tokens: the logits of a batch are never whole in memory.

#include "core/nn/functions/linear.h"

namespace qlora::nn {

// The most rows of logits at a time: as many as 36 MiB hold, or 24 MiB in bf16, or 160 MiB on a GPU, but enough to be worth
// expanding the weight for.
struct HeadChunk {
    std::int64_t most_rows;
    std::int64_t number_bytes;
};
enum class LogitsIn : std::uint8_t { fp32, bf16, gpu };
HeadChunk head_chunk(std::int64_t classes, LogitsIn numbers);

// How logits become a loss. A softcap c > 0 makes the logits c * tanh(logit / c) (Gemma 2). Smoothing s spreads a part of each
// target's probability over all classes (Szegedy et al. 2016): (1 - s) -log p(target) + s * mean over classes of -log p.
struct LossRule {
    double softcap = 0, smoothing = 0;
};

// The sum over rows of -log softmax(x W^T [+ branch])[target], a scalar in fp32 (nats), on the CPU. x [N, in]; targets int64 [N] on x's device, in
// [0, rows of W). Gradients for x and the branch are computed in the same pass, chunk by chunk, where needed.
torch::Tensor head_loss(const torch::Tensor& x, const quant::Weight& weight, const torch::Tensor& bias,
                        const torch::Tensor& targets, const LowRank* branch, const LossRule& rule = {}, Arithmetic arithmetic = Arithmetic::fp32);

// The same for a head whose weight or bias is trained: their gradients are added up chunk by chunk too.
torch::Tensor trained_head_loss(const torch::Tensor& x, const torch::Tensor& targets, const LinearParts& head, const LossRule& rule = {});

}  // namespace qlora::nn
