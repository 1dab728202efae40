#include "core/nn/rope.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qlora::nn {

using torch::Tensor;

namespace {

std::vector<double> read_factors(const JsonObject& scaling, const char* key, std::int64_t count) {
    const Json& list = scaling.value(key);
    const bool good = list.is_array() && list.size() == static_cast<std::size_t>(count) &&
                      std::ranges::all_of(list, [](const Json& x) { return x.is_number() && x.get<double>() > 0; });
    if (!good) scaling.fail(key, "a list of " + std::to_string(count) + " positive numbers");
    return list.get<std::vector<double>>();
}

// YaRN's temperature of the attention for a context `factor` times as long.
double yarn_temperature(double factor, double scale) { return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1; }

void read_yarn(RopeConfig& rope, const JsonObject& scaling) {
    rope.beta_fast = scaling.number("beta_fast", 1e-3, 1e6, 32);
    rope.beta_slow = scaling.number("beta_slow", 1e-3, 1e6, 1);
    rope.truncate = scaling.boolean("truncate", true);
    const double scale = scaling.number("mscale", 0, 1e3, 0), all = scaling.number("mscale_all_dim", 0, 1e3, 0);
    const double factor = scale != 0 && all != 0
                              ? yarn_temperature(rope.factor, scale) / yarn_temperature(rope.factor, all)
                              : yarn_temperature(rope.factor, 1);
    rope.attention_factor = scaling.number("attention_factor", 0, 1e3, factor);
}

void read_longrope(RopeConfig& rope, const JsonObject& scaling, std::int64_t context) {
    rope.short_factors = read_factors(scaling, "short_factor", rope.dimensions / 2);
    rope.long_factors = read_factors(scaling, "long_factor", rope.dimensions / 2);
    if (rope.original_context < 2) scaling.fail("original_max_position_embeddings", "at least 2 tokens, whose logarithm divides the scale");
    const double original = static_cast<double>(rope.original_context);
    const double factor = scaling.number("factor", 1e-3, 1e6, static_cast<double>(context) / original);
    rope.attention_factor = scaling.number("attention_factor", 0, 1e3,
                                           factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original)));
}

// fp32 powers as transformers computes them, so that the angles agree to the last bits that matter.
Tensor powers(double theta, std::int64_t dimensions) {
    auto exponents = torch::arange(0, dimensions, 2, torch::kInt64).to(torch::kFloat32) / static_cast<float>(dimensions);
    return torch::pow(torch::scalar_tensor(theta, torch::kFloat32), exponents);
}

Tensor llama3(const RopeConfig& config, const Tensor& frequencies) {
    const double context = static_cast<double>(config.original_context);
    const double low_wave = context / config.low_frequency_factor, high_wave = context / config.high_frequency_factor;
    auto waves = 2 * std::numbers::pi / frequencies;
    auto smooth = (context / waves - config.low_frequency_factor) / (config.high_frequency_factor - config.low_frequency_factor);
    auto between = (1 - smooth) * frequencies / config.factor + smooth * frequencies;
    return torch::where(waves > low_wave, frequencies / config.factor, torch::where(waves < high_wave, frequencies, between));
}

Tensor yarn(const RopeConfig& config, const Tensor& frequencies) {
    const double dimensions = static_cast<double>(config.dimensions), context = static_cast<double>(config.original_context);
    // The dimension whose wave turns so often within the original context.
    auto dimension = [&](double turns) {
        return dimensions * std::log(context / (turns * 2 * std::numbers::pi)) / (2 * std::log(config.theta));
    };
    double low = dimension(config.beta_fast), high = dimension(config.beta_slow);
    if (config.truncate) low = std::floor(low), high = std::ceil(high);
    low = std::max(low, 0.0);
    high = std::min(high, dimensions - 1);
    if (low == high) high += 0.001;
    auto ramp = ((torch::arange(config.dimensions / 2, torch::kFloat32) - low) / (high - low)).clamp(0, 1);
    return frequencies / config.factor * ramp + frequencies * (1 - ramp);
}

}  // namespace

const Json& rope_parameters(const JsonObject& config) {
    static const Json none = Json::object();
    return config.has("rope_parameters") ? config.value("rope_parameters")
           : config.has("rope_scaling")  ? config.value("rope_scaling")
                                         : none;
}

RopeConfig read_rope(const JsonObject& config, const Json& parameters, std::int64_t head_dim, double default_theta) {
    RopeConfig rope;
    JsonObject scaling(parameters, config.where() + ", rope");
    rope.theta = scaling.number("rope_theta", 1e-6, 1e12, config.number("rope_theta", 1e-6, 1e12, default_theta));
    const double rotated = scaling.number("partial_rotary_factor", 0.01, 1, config.number("partial_rotary_factor", 0.01, 1, 1));
    rope.dimensions = static_cast<std::int64_t>(static_cast<double>(head_dim) * rotated) / 2 * 2;
    if (rope.dimensions == 0) config.fail("partial_rotary_factor", "a part of at least two of the head's features");
    const std::string type = scaling.string("rope_type", scaling.string("type", "default"));
    if (type == "default") return rope;
    constexpr std::int64_t largest = std::int64_t{1} << 31;
    const std::int64_t context = config.integer("max_position_embeddings", 1, largest, 2048);
    rope.original_context =
        config.integer("original_max_position_embeddings", 1, largest,
                       scaling.integer("original_max_position_embeddings", 1, largest, context));
    if (type == "longrope" || type == "su") {
        rope.scaling = RopeConfig::Scaling::longrope;
        read_longrope(rope, scaling, context);
        return rope;
    }
    rope.factor = scaling.number("factor", 1e-3, 1e6);
    if (type == "linear") {
        rope.scaling = RopeConfig::Scaling::linear;
    } else if (type == "dynamic") {
        if (rope.dimensions < 4) scaling.fail("rope_type", "a head with at least four rotated features for \"dynamic\"");
        rope.scaling = RopeConfig::Scaling::dynamic;
        rope.original_context = context;
    } else if (type == "yarn") {
        rope.scaling = RopeConfig::Scaling::yarn;
        read_yarn(rope, scaling);
    } else if (type == "llama3") {
        rope.scaling = RopeConfig::Scaling::llama3;
        rope.low_frequency_factor = scaling.number("low_freq_factor", 1e-6, 1e6);
        rope.high_frequency_factor = scaling.number("high_freq_factor", 1e-6, 1e6);
    } else {
        scaling.fail(scaling.has("rope_type") ? "rope_type" : "type",
                     "\"default\", \"linear\", \"dynamic\", \"yarn\", \"llama3\" or \"longrope\"");
    }
    return rope;
}

Tensor rope_frequencies(const RopeConfig& config, std::int64_t length) {
    using Scaling = RopeConfig::Scaling;
    if (config.scaling == Scaling::dynamic) {
        const double context = static_cast<double>(config.original_context);
        const double stretch = config.factor * std::max(static_cast<double>(length), context) / context - (config.factor - 1);
        const double dimensions = static_cast<double>(config.dimensions);
        return 1.0 / powers(config.theta * std::pow(stretch, dimensions / (dimensions - 2)), config.dimensions);
    }
    Tensor wavelengths = powers(config.theta, config.dimensions);
    if (config.scaling == Scaling::longrope) {
        const auto& factors = length > config.original_context ? config.long_factors : config.short_factors;
        return 1.0 / (torch::tensor(factors, torch::kFloat32) * wavelengths);
    }
    Tensor frequencies = 1.0 / wavelengths;
    switch (config.scaling) {
        case Scaling::linear: return frequencies / config.factor;
        case Scaling::llama3: return llama3(config, frequencies);
        case Scaling::yarn: return yarn(config, frequencies);
        default: return frequencies;
    }
}

RopeTables rope_tables(const RopeConfig& config, const Tensor& divisors, const std::vector<std::int32_t>& positions,
                       const std::vector<std::int32_t>& starts) {
    Tensor all = torch::tensor(c10::ArrayRef<std::int32_t>(positions), torch::kInt32).to(torch::kFloat32);
    auto angles = [&](const Tensor& at, std::int64_t length) {
        Tensor frequencies = rope_frequencies(config, length);
        return at::outer(at, divisors.defined() ? frequencies / divisors : frequencies);
    };
    Tensor turned;
    if (config.follows_length()) {
        std::vector<Tensor> segments;
        for (std::size_t i = 0; i + 1 < starts.size(); ++i)
            if (starts[i + 1] > starts[i])
                segments.push_back(angles(all.narrow(0, starts[i], starts[i + 1] - starts[i]),
                                          positions[static_cast<std::size_t>(starts[i + 1]) - 1] + 1));
        turned = at::cat(segments);
    } else {
        turned = angles(all, 0);
    }
    RopeTables tables{turned.cos(), turned.sin()};
    if (config.attention_factor != 1) {
        tables.cosine.mul_(config.attention_factor);
        tables.sine.mul_(config.attention_factor);
    }
    return tables;
}

}  // namespace qlora::nn
