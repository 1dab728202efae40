#pragma once
// Gradient checkpointing (Chen et al. 2016): a block saves its inputs alone and runs again during backward.

#include <torch/types.h>

#include <functional>

namespace qlora::nn {

// f(x, memory), without keeping what f would save. f runs a second time in backward, and must then give the same values;
// its trainable leaves receive their gradients there. `memory`: a second input that may want a gradient (what a decoder
// reads from its encoder); may be undefined.
torch::Tensor checkpoint(const torch::Tensor& x, const torch::Tensor& memory,
                         const std::function<torch::Tensor(const torch::Tensor& x, const torch::Tensor& memory)>& f);

}  // namespace qlora::nn
