#include "core/nn/families/common.h"
#include "core/nn/families/families.h"

namespace qlora::nn {

namespace {

void read_windows(ModelConfig& c, const JsonObject& config) {
    const std::int64_t window = config.boolean("use_sliding_window", false) ? read_window(config, 4096) : 0;
    const std::int64_t full = config.integer("max_window_layers", 0, largest_size, 28);
    set_windows(c, sliding_layers(config, c.layers, [&](std::int64_t layer) { return layer >= full; }), window);
}

}  // namespace

Family qwen2() {
    Family family = named_like_llama("qwen2", "qwen2");
    family.from_config = [](const JsonObject& config) {
        ModelConfig c = read_sizes(config, "qwen2", {.kv_heads = 32, .context = 32768});
        c.attention_bias = true;
        read_windows(c, config);
        return c;
    };
    family.from_gguf = [](const formats::GgufFile& file) {
        ModelConfig c = read_sizes(file, "qwen2", "qwen2");
        read_rope_scaling(c.ropes[0], file, "qwen2");
        return c;
    };
    return family;
}

Family qwen3() {
    Family family = named_like_llama("qwen3", "qwen3");
    family.from_config = [](const JsonObject& config) {
        ModelConfig c = read_sizes(config, "qwen3", {.kv_heads = 32, .head_dim = 128, .context = 32768});
        c.attention_bias = c.output_bias = config.boolean("attention_bias", false);
        c.query_key_norm = true;
        read_windows(c, config);
        return c;
    };
    family.from_gguf = [](const formats::GgufFile& file) {
        ModelConfig c = read_sizes(file, "qwen3", "qwen3");
        c.query_key_norm = true;
        read_rope_scaling(c.ropes[0], file, "qwen3");
        return c;
    };
    return family;
}

}  // namespace qlora::nn
