#pragma once
// The frequencies of rotary positions and their scalings for longer contexts, as transformers names them: Su et al. 2021;
// linear (Chen et al. 2023), dynamic NTK, YaRN (Peng et al. 2023), Llama 3's, LongRoPE (Ding et al. 2024).

#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "core/base/json.h"

namespace qlora::nn {

struct RopeConfig {
    enum class Scaling { none, linear, dynamic, yarn, llama3, longrope };
    double theta = 10000;
    std::int64_t dimensions = 0;  // features rotated in each head; even
    Scaling scaling = Scaling::none;
    double factor = 1;
    std::int64_t original_context = 8192;                             // that the model was first trained with
    double low_frequency_factor = 1, high_frequency_factor = 4;       // llama3
    double beta_fast = 32, beta_slow = 1;                             // yarn
    bool truncate = true;                                             // yarn: the ramp begins and ends at whole dimensions
    std::vector<double> short_factors, long_factors;                  // longrope: one a frequency
    double attention_factor = 1;                                      // cosine and sine are multiplied by it

    // Whether the angles of all positions depend on how long the sequence is, and whether they change between two lengths.
    bool follows_length() const { return scaling == Scaling::dynamic || scaling == Scaling::longrope; }
    bool changes(std::int64_t from, std::int64_t to) const {
        if (scaling == Scaling::dynamic) return std::max(from, original_context) != std::max(to, original_context);
        return scaling == Scaling::longrope && (from > original_context) != (to > original_context);
    }
};

// `config`: the model's config.json. `parameters`: rope_parameters of transformers 5, or rope_scaling of transformers 4,
// or an empty object. Throws input_error naming a scaling that is not known or a field of it.
RopeConfig read_rope(const JsonObject& config, const Json& parameters, std::int64_t head_dim, double default_theta = 10000);
// The parameters where there is one set for all layers.
const Json& rope_parameters(const JsonObject& config);

// 1 / theta^(2i / dimensions), scaled for a sequence of `length` tokens; fp32 [dimensions / 2].
torch::Tensor rope_frequencies(const RopeConfig& config, std::int64_t length);

struct RopeTables {
    torch::Tensor cosine, sine;  // fp32 [T, dimensions / 2]
};
// `divisors`, where defined, divide the frequencies (llama.cpp's rope_freqs). Positions count from 0 in each segment;
// `starts` as in data::Batch.
RopeTables rope_tables(const RopeConfig& config, const torch::Tensor& divisors, const std::vector<std::int32_t>& positions,
                       const std::vector<std::int32_t>& starts);

}  // namespace qlora::nn
