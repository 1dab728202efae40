#pragma once
// Linear layers, mostly of a frozen base, each with an optional low-rank branch (LoRA, Hu et al. 2021):
//   y = x W^T + bias + scale * (dropout(x) A^T) B^T
// and, where the branch has a start (PiSSA), less scale * (x A0^T) B0^T.
// Those that read the same x are one function: x is made from its source once, kept as its source alone and made again for
// backward, and its gradient is summed where it is computed. Of the base products nothing is saved.

#include <torch/types.h>

#include <functional>
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
    // PiSSA (Meng et al. 2024): what a and b began as, frozen. It is taken off the base, so that the layer begins as it was.
    torch::Tensor start_a{}, start_b{};
    // Where the gradients of a and b are added, of their shapes. Undefined: autograd gets them.
    torch::Tensor a_gradient{}, b_gradient{};
};

// What is trained in place of a tensor of the base, whole: an fp32 leaf of its shape. `gradient`: where its gradient is added;
// undefined: autograd gets it.
struct Trained {
    torch::Tensor values{}, gradient{};
    bool enabled = true;
};

// Quantization-aware training (Jacob et al. 2018): from an fp32 matrix [out, in] the weight that products are made with, in place of
// it. Its gradient is taken for that of the matrix itself (the straight-through estimator, Bengio et al. 2013).
struct Quantizer {
    std::function<quant::Weight(const torch::Tensor&)> make;
    bool enabled = true;
    quant::Weight of_base{};  // what a matrix that nothing changes becomes; made once
};

// One layer: y = x W^T + bias + branch. W is `trained` where there is one, and with a quantizer what that makes of W and the
// branch together. `bias`: fp32 [out], a leaf where it is trained; may be undefined; `branch` may be null, and is plain LoRA.
struct LinearParts {
    const quant::Weight* weight;
    torch::Tensor bias{};
    const LowRank* branch = nullptr;
    const Trained* trained = nullptr;
    Quantizer* quantizer = nullptr;
};

// [T, in], as the source makes it -> [T, out] of each layer.
std::vector<torch::Tensor> linears(const Source& source, std::span<const LinearParts> layers, const DropoutKey& dropout);

// x [T, in] -> [T, out]; the branch may be DoRA's.
torch::Tensor linear(const torch::Tensor& x, const LinearParts& layer, const DropoutKey& dropout, Arithmetic arithmetic = Arithmetic::fp32);

}  // namespace qlora::nn
