#pragma once
// The output head and its cross-entropy, in chunks of tokens: the logits of a batch are never whole in memory.

#include "core/nn/functions/linear.h"

namespace qlora::nn {

// The most rows of logits at a time: as many as 20 MiB hold, or 160 MiB on a GPU, but enough to be worth expanding the weight
// for.
std::int64_t most_head_rows(std::int64_t classes, bool on_gpu = false);

// The sum over rows of -log softmax(x W^T [+ branch])[target], a scalar in fp32 (nats), on the CPU. x [N, in]; targets int64 [N] on x's device, in
// [0, rows of W); a softcap c > 0 makes the logits c * tanh(logit / c) (Gemma 2). Gradients for x and the branch are computed in the same pass, chunk by chunk, where needed.
torch::Tensor head_loss(const torch::Tensor& x, const quant::Weight& weight, const torch::Tensor& bias,
                        const torch::Tensor& targets, const LowRank* branch, double softcap = 0, Arithmetic arithmetic = Arithmetic::fp32);

// The same for a head that is trained whole: its gradient is added up chunk by chunk too.
torch::Tensor trained_head_loss(const torch::Tensor& x, const torch::Tensor& targets, const TrainedLinear& head, double softcap = 0);

}  // namespace qlora::nn
