#pragma once
// Norms, rotary positions and activations with hand-written backward passes that recompute instead of saving. In fp32 they
// are our own kernels, on all threads of a CPU or on a GPU; otherwise LibTorch's operations.

#include <torch/types.h>

#include <cstdint>

#include "core/nn/functions/arithmetic.h"
#include "core/quant/operand.h"

namespace qlora::nn {

enum class Activation { silu, gelu, gelu_tanh, relu, tanh };

// RMSNorm (Zhang & Sennrich 2019): x / sqrt(mean(x^2) + eps) * weight; centred, LayerNorm (Ba et al. 2016), with a bias or
// none. Weight and bias [H], fp32; leaves where they are trained.
struct NormRule {
    torch::Tensor weight, bias;
    double eps = 1e-6;
    bool centred = false;
};
inline bool is_trained(const NormRule& rule) { return rule.weight.requires_grad() || (rule.bias.defined() && rule.bias.requires_grad()); }

// fp32 numbers as they are kept for backward, and back; back for a product, where only what that needs is restored.
torch::Tensor kept(const torch::Tensor& x, Arithmetic arithmetic);
torch::Tensor kept(const quant::Operand& x, Arithmetic arithmetic);
torch::Tensor restored(const torch::Tensor& x, Arithmetic arithmetic);
quant::Operand kept_operand(const torch::Tensor& x, Arithmetic arithmetic);

// Numbers that linear layers read, described by what they are made from: that is what a backward pass needs kept.
struct Source {
    enum class Kind : std::uint8_t {
        plain,       // x
        norm,        // norm(x), rows of the last dimension
        activation,  // activation(x)
        gate,        // activation(x) * up; without `up`, of the left half of x times its right half
    };
    Kind kind = Kind::plain;
    torch::Tensor x{}, up{};
    NormRule norm{};
    Activation activation = Activation::silu;
    Arithmetic arithmetic = Arithmetic::fp32;  // of the layers that read it
    torch::Tensor held{};                      // kept(x), where something else keeps it already
};
inline Source plain(torch::Tensor x, Arithmetic arithmetic = Arithmetic::fp32) { return {.x = std::move(x), .arithmetic = arithmetic}; }

// The numbers, without and with a gradient.
torch::Tensor made(const Source& source);
torch::Tensor differentiable(const Source& source);

// The same for layers: what their products read, with x and up as they are kept, all in one pass where our own kernels compute
// in bf16; and again from a source that has what was kept in place of its x and up. Without `keep` there is no backward pass.
struct Read {
    quant::Operand numbers;
    torch::Tensor x{}, up{};
};
Read read(const Source& source, bool keep = true);
quant::Operand read_again(Source kept);

// From the gradient of the numbers those of x and up (undefined where there is none) and, where asked for, of a norm's weight
// and bias, and the numbers again. x and up as they are, or as they were kept.
struct SourceGradients {
    torch::Tensor x{}, up{}, norm_weight{}, norm_bias{};
    quant::Operand numbers{torch::Tensor()};
};
struct Wanted {
    bool norm = false, numbers = false;
};
SourceGradients made_backward(Source source, const torch::Tensor& gradient, Wanted wanted = {});

// Rotary position embedding (Su et al. 2021) in the half-split layout of Hugging Face: x [T, heads, D];
// cosine, sine [T, R/2] with R <= D the rotated part. Saves nothing of x.
torch::Tensor rotate(const torch::Tensor& x, const torch::Tensor& cosine, const torch::Tensor& sine);

}  // namespace qlora::nn
