#pragma once
// Norms, rotary positions and gated activations with hand-written backward passes that recompute instead of saving.

#include <torch/types.h>

namespace qlora::nn {

// RMSNorm (Zhang & Sennrich 2019): x / sqrt(mean(x^2) + eps) * (weight + offset). x [T, H]; weight [H] frozen, fp32.
// `offset` is 1 for Gemma's convention, else 0. Saves x and one number a row.
torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double eps, double offset = 0);

// Rotary position embedding (Su et al. 2021) in the half-split layout of Hugging Face: x [T, heads, D];
// cosine, sine [T, R/2] with R <= D the rotated part. Saves nothing of x.
torch::Tensor rotate(const torch::Tensor& x, const torch::Tensor& cosine, const torch::Tensor& sine);

enum class Activation { silu, gelu, gelu_tanh, relu, tanh };

// activation(x); saves x only (tanh: its result).
torch::Tensor activated(const torch::Tensor& x, Activation activation);

// activation(gate) * up; saves its two inputs only.
torch::Tensor gated(const torch::Tensor& gate, const torch::Tensor& up, Activation activation);

}  // namespace qlora::nn
