#pragma once
// What most families read alike.

#include "core/nn/files.h"

namespace qlora::nn {

inline constexpr std::int64_t largest_size = std::int64_t{1} << 31;

// Where a family's classes in transformers have defaults of their own.
struct Defaults {
    std::int64_t kv_heads = 0;  // 0: as many as heads
    std::int64_t head_dim = 0;  // 0: hidden / heads
    std::int64_t context = 2048;
    double norm_eps = 1e-6;
    double rope_theta = 10000;
    bool tied = false;
    const char* activation = "silu";
};

// Sizes, activation, one rope for all layers, dropout of attention, no biases, no windows.
ModelConfig read_sizes(const JsonObject& config, const char* family, const Defaults& defaults);
Activation activation_named(const JsonObject& config, const char* key, const std::string& name);
// The probability that a number is dropped.
double read_dropout(const JsonObject& config, const char* key, double fallback = 0);

// Sizes from GGUF metadata under "<architecture>."; norm_eps from attention.layer_norm_rms_epsilon.
ModelConfig read_sizes(const formats::GgufFile& file, const std::string& architecture, const char* family);
// none, linear or yarn under "<architecture>.rope.scaling."
void read_rope_scaling(RopeConfig& rope, const formats::GgufFile& file, const std::string& architecture);
// A small F32 tensor of the file.
std::vector<double> read_numbers(const formats::GgufFile& file, const std::string& tensor, std::int64_t count);

// The window of config.json: absent: `fallback`; null: 0 (none).
std::int64_t read_window(const JsonObject& config, std::int64_t fallback);
// For each layer whether it slides: by layer_types where there are some, else by `rule(layer)`.
std::vector<bool> sliding_layers(const JsonObject& config, std::int64_t layers, const std::function<bool(std::int64_t)>& rule);
void set_windows(ModelConfig& config, const std::vector<bool>& sliding, std::int64_t window);

// The tensor names that LLaMA began and others took over; `architecture`: llama.cpp's.
Family named_like_llama(const char* name, const char* architecture);

}  // namespace qlora::nn
