#include "core/nn/rope.h"

#include <torch/torch.h>

#include <cmath>
#include <numbers>

namespace qlora::nn {

RopeConfig read_rope(const JsonObject& config, std::int64_t head_dim) {
    RopeConfig rope;
    Json parameters = Json::object();
    if (config.has("rope_parameters")) parameters = config.value("rope_parameters");
    else if (config.has("rope_scaling")) parameters = config.value("rope_scaling");
    JsonObject scaling(parameters, config.where() + ", rope");
    rope.theta = scaling.number("rope_theta", 1e-6, 1e12, config.number("rope_theta", 1e-6, 1e12, 10000));
    const double rotated = scaling.number("partial_rotary_factor", 0.01, 1, config.number("partial_rotary_factor", 0.01, 1, 1));
    rope.dimensions = static_cast<std::int64_t>(static_cast<double>(head_dim) * rotated) / 2 * 2;
    const std::string type = scaling.string("rope_type", scaling.string("type", "default"));
    if (type == "default") return rope;
    rope.factor = scaling.number("factor", 1e-3, 1e6);
    if (type == "linear") {
        rope.scaling = RopeConfig::Scaling::linear;
    } else if (type == "llama3") {
        rope.scaling = RopeConfig::Scaling::llama3;
        rope.low_frequency_factor = scaling.number("low_freq_factor", 1e-6, 1e6);
        rope.high_frequency_factor = scaling.number("high_freq_factor", 1e-6, 1e6);
        rope.original_context = scaling.integer("original_max_position_embeddings", 1, 1 << 30);
    } else {
        scaling.fail(scaling.has("rope_type") ? "rope_type" : "type", "\"default\", \"linear\" or \"llama3\"");
    }
    return rope;
}

torch::Tensor rope_frequencies(const RopeConfig& config) {
    // fp32 powers as transformers computes them, so that the angles agree to the last bits that matter.
    auto exponents = torch::arange(0, config.dimensions, 2, torch::kInt64).to(torch::kFloat32) /
                     static_cast<float>(config.dimensions);
    torch::Tensor frequencies = 1.0 / torch::pow(torch::scalar_tensor(config.theta, torch::kFloat32), exponents);
    if (config.scaling == RopeConfig::Scaling::linear) return frequencies / config.factor;
    if (config.scaling != RopeConfig::Scaling::llama3) return frequencies;
    const double context = static_cast<double>(config.original_context);
    const double low_wave = context / config.low_frequency_factor, high_wave = context / config.high_frequency_factor;
    auto waves = 2 * std::numbers::pi / frequencies;
    auto smooth = (context / waves - config.low_frequency_factor) / (config.high_frequency_factor - config.low_frequency_factor);
    auto between = (1 - smooth) * frequencies / config.factor + smooth * frequencies;
    return torch::where(waves > low_wave, frequencies / config.factor, torch::where(waves < high_wave, frequencies, between));
}

std::pair<torch::Tensor, torch::Tensor> rope_tables(const torch::Tensor& frequencies, const torch::Tensor& positions) {
    auto angles = at::outer(positions.to(torch::kFloat32), frequencies);
    return {angles.cos(), angles.sin()};
}

}  // namespace qlora::nn
