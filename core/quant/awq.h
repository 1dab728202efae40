#pragma once
// AWQ (Lin et al., "AWQ: Activation-aware Weight Quantization", 2023): input channels that carry large activations are
// multiplied by a scale before their weights are rounded, and divided by it before they are read, so that they lose less.

#include <torch/types.h>

#include <span>

#include "core/quant/calibration.h"
#include "core/quant/weight.h"

namespace qlora::quant {

struct ChannelScales {
    torch::Tensor scales;  // fp32 [cols]
    double exponent = 0;   // of the magnitudes; 0: all scales are 1
    double error = 0, plain_error = 0;  // of the outputs (output_error), with these scales and without
};

// Of matrices [rows, cols] in fp32 that read the same inputs: magnitude^exponent, divided by the geometric mean of its
// extremes, for the exponent of 0, 1/20 .. 1 at which their outputs err least together. `magnitudes` [cols] decides alone
// which channels get the same scale.
ChannelScales choose_channel_scales(std::span<const torch::Tensor> matrices, const torch::Tensor& magnitudes, const torch::Tensor& hessian,
                                    recipe::Precision precision, const BlockOptions& options);

}  // namespace qlora::quant
