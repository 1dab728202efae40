#pragma once
// Linear layers of a frozen base, each with an optional low-rank branch (LoRA, Hu et al. 2021):
//   y = x W^T + bias + scale * (dropout(x) A^T) B^T
// Those that read the same x are one function: x is made from its source once, kept as its source alone and made again for
// backward, and its gradient is summed where it is computed. Of the base products nothing is saved.

#include <torch/types.h>

#include <span>
#include <vector>

#include "core/nn/functions/dropout.h"
#include "core/nn/functions/elementwise.h"
#include "core/quant/weight.h"

namespace qlora::nn {

// The trainable branch; shapes A [rank, in], B [out, rank], fp32 leaves.
struct LowRank {
    torch::Tensor a{}, b{};
    double scale = 1;    // alpha / rank, or alpha / sqrt(rank) for rsLoRA
    double dropout = 0;  // on the branch's input, while training
    bool enabled = true;
    std::uint64_t stream = 0;  // tells this layer's dropout masks from the others'
    // DoRA (dora.h): the trained lengths of the rows, fp32 [out]; and those of the base's rows, squared. Undefined: plain LoRA.
    torch::Tensor magnitude{}, base_square_norms{};
    // Where the gradients of a and b are added, of their shapes. Undefined: autograd gets them.
    torch::Tensor a_gradient{}, b_gradient{};
};

// A linear layer trained as a whole in place of the base's (PEFT's modules_to_save): weight [out, in], bias [out] or
// undefined, fp32 leaves.
struct TrainedLinear {
    torch::Tensor weight, bias;
    bool enabled = true;
};

// One layer: `bias` may be undefined; `branch` may be null, and is plain LoRA.
struct FrozenLinear {
    const quant::Weight* weight;
    torch::Tensor bias;
    const LowRank* branch;
};

// [T, in], as the source makes it -> [T, out] of each layer.
std::vector<torch::Tensor> linears(const Source& source, std::span<const FrozenLinear> layers, const DropoutKey& dropout);

// x [T, in] -> [T, out]. `bias` may be undefined; `branch` may be null.
torch::Tensor linear(const torch::Tensor& x, const quant::Weight& weight, const torch::Tensor& bias,
                     const LowRank* branch, const DropoutKey& dropout, Arithmetic arithmetic = Arithmetic::fp32);

}  // namespace qlora::nn
