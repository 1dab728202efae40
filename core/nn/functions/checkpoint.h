#pragma once
// Gradient checkpointing (Chen et al. 2016): a block saves its input alone and runs again during backward.

#include <torch/types.h>

#include <functional>

namespace qlora::nn {

// f(x), without keeping what f would save. f runs a second time in backward, and must then give the same values; its
// trainable leaves receive their gradients there.
torch::Tensor checkpoint(const torch::Tensor& x, const std::function<torch::Tensor(const torch::Tensor&)>& f);

}  // namespace qlora::nn
