#pragma once
// The frequencies of rotary positions and their scalings for longer contexts, as transformers names them.

#include <torch/types.h>

#include "core/base/json.h"

namespace qlora::nn {

struct RopeConfig {
    enum class Scaling { none, linear, llama3 };
    double theta = 10000;
    std::int64_t dimensions = 0;  // features rotated in each head; even
    Scaling scaling = Scaling::none;
    double factor = 1, low_frequency_factor = 1, high_frequency_factor = 4;
    std::int64_t original_context = 8192;
};

// Reads rope_theta/rope_scaling (transformers 4) or rope_parameters (5). Throws input_error naming a scaling that is
// not known.
RopeConfig read_rope(const JsonObject& config, std::int64_t head_dim);

// 1 / theta^(2i / dimensions), scaled; fp32 [dimensions / 2].
torch::Tensor rope_frequencies(const RopeConfig& config);

// Cosine and sine, fp32 [T, dimensions / 2], of positions int64 [T].
std::pair<torch::Tensor, torch::Tensor> rope_tables(const torch::Tensor& frequencies, const torch::Tensor& positions);

}  // namespace qlora::nn
