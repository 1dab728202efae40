#include <cmath>

#include "core/nn/families/common.h"
#include "core/nn/families/families.h"

namespace qlora::nn {

namespace {

// What all three share. Their safetensors hold norm weights less one; llama.cpp's converter adds the one.
void be_gemma(ModelConfig& c, double norm_offset) {
    c.norm_offset = norm_offset;
    c.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(c.hidden)));
}

void set_scale(ModelConfig& c, double query_scalar, double softcap) {
    for (LayerConfig& layer : c.per_layer) {
        layer.attention.scale = 1 / std::sqrt(query_scalar);
        layer.attention.softcap = softcap;
    }
}

// absent: the class's own; null: none.
double read_softcap(const JsonObject& config, const char* key, double fallback) {
    const bool given = config.has(key);
    if (!config.raw().contains(key)) return fallback;
    return given ? config.number(key, 1e-3, 1e6) : 0;
}

Family with_post_norms(const char* name, const char* architecture) {
    Family family = named_like_llama(name, architecture);
    const std::string block = "model.layers.{}.";
    family.stack.attention_post_norm = {block + "post_attention_layernorm", "blk.{}.post_attention_norm"};
    family.stack.mlp_norm = {block + "pre_feedforward_layernorm", "blk.{}.ffn_norm"};
    family.stack.mlp_post_norm = {block + "post_feedforward_layernorm", "blk.{}.post_ffw_norm"};
    return family;
}

ModelConfig newer(const JsonObject& config, const char* family) {
    ModelConfig c = read_sizes(config, family, {.kv_heads = 4, .head_dim = 256, .context = 8192, .tied = true});
    be_gemma(c, 1);
    if (config.boolean("use_bidirectional_attention", false))
        config.fail("use_bidirectional_attention", "false (models that look ahead, such as EmbeddingGemma, are not supported)");
    c.activation = activation_named(config, "hidden_activation", config.string("hidden_activation", "gelu_pytorch_tanh"));
    c.attention_bias = c.output_bias = config.boolean("attention_bias", false);
    c.post_norms = true;
    return c;
}

ModelConfig newer(const formats::GgufFile& file, const char* family) {
    ModelConfig c = read_sizes(file, family, family);
    be_gemma(c, 0);
    c.activation = Activation::gelu_tanh;
    c.post_norms = true;
    return c;
}

// Not stored: the largest model of each generation divides by what a head would have without key_length.
double query_scalar(const ModelConfig& c, std::int64_t layers_of_largest) {
    return static_cast<double>(c.layers == layers_of_largest ? c.hidden / c.heads : c.head_dim);
}

// Gemma 3 has two rotations: one for the layers that see all, one for those that slide.
void set_ropes(ModelConfig& c, RopeConfig all, RopeConfig sliding, const std::vector<bool>& slides) {
    c.ropes = {std::move(all), std::move(sliding)};
    for (std::size_t i = 0; i < slides.size(); ++i) c.per_layer[i].rope = slides[i] ? 1 : 0;
}

}  // namespace

Family gemma() {
    Family family = named_like_llama("gemma", "gemma");
    family.from_config = [](const JsonObject& config) {
        ModelConfig c = read_sizes(config, "gemma", {.kv_heads = 16, .head_dim = 256, .context = 8192, .tied = true});
        be_gemma(c, 1);
        const bool named = config.has("hidden_activation");
        const std::string name = named ? config.string("hidden_activation") : config.string("hidden_act", "gelu_pytorch_tanh");
        // The first checkpoints say "gelu" and mean the approximation they were trained with.
        c.activation = name == "gelu" ? Activation::gelu_tanh : activation_named(config, named ? "hidden_activation" : "hidden_act", name);
        c.attention_bias = c.output_bias = config.boolean("attention_bias", false);
        return c;
    };
    family.from_gguf = [](const formats::GgufFile& file) {
        ModelConfig c = read_sizes(file, "gemma", "gemma");
        be_gemma(c, 0);
        c.activation = Activation::gelu_tanh;
        return c;
    };
    return family;
}

Family gemma2() {
    Family family = with_post_norms("gemma2", "gemma2");
    family.from_config = [](const JsonObject& config) {
        ModelConfig c = newer(config, "gemma2");
        set_windows(c, sliding_layers(config, c.layers, [](std::int64_t layer) { return layer % 2 == 0; }), read_window(config, 4096));
        set_scale(c, config.number("query_pre_attn_scalar", 1e-3, 1e6, 256), read_softcap(config, "attn_logit_softcapping", 50));
        c.logit_softcap = read_softcap(config, "final_logit_softcapping", 30);
        return c;
    };
    family.from_gguf = [](const formats::GgufFile& file) {
        ModelConfig c = newer(file, "gemma2");
        const std::int64_t window = file.integer("gemma2.attention.sliding_window", 0, largest_size, 4096);
        for (std::size_t i = 0; i < c.per_layer.size(); i += 2) c.per_layer[i].attention.window = window;
        set_scale(c, query_scalar(c, 46), file.number("gemma2.attn_logit_softcapping", 0, 1e6, 50));
        c.logit_softcap = file.number("gemma2.final_logit_softcapping", 0, 1e6, 30);
        return c;
    };
    return family;
}

Family gemma3() {
    Family family = with_post_norms("gemma3_text", "gemma3");
    family.from_config = [](const JsonObject& config) {
        ModelConfig c = newer(config, "gemma3_text");
        c.query_key_norm = true;
        const std::int64_t pattern = config.integer("sliding_window_pattern", 1, 4096, 6);
        const auto slides = sliding_layers(config, c.layers, [&](std::int64_t layer) { return (layer + 1) % pattern != 0; });
        set_windows(c, slides, read_window(config, 4096));
        set_scale(c, config.number("query_pre_attn_scalar", 1e-3, 1e6, 256), 0);
        c.logit_softcap = read_softcap(config, "final_logit_softcapping", 0);
        const Json& parameters = rope_parameters(config);
        RopeConfig all, sliding;
        if (parameters.contains("full_attention") || parameters.contains("sliding_attention")) {
            JsonObject kinds(parameters, config.where() + ", rope_parameters");
            all = read_rope(config, kinds.value("full_attention"), c.head_dim, 1e6);
            sliding = read_rope(config, kinds.value("sliding_attention"), c.head_dim);
        } else {
            all = read_rope(config, parameters, c.head_dim, 1e6);
            sliding.dimensions = c.head_dim;
            sliding.theta = config.number("rope_local_base_freq", 1e-6, 1e12, 10000);
        }
        set_ropes(c, std::move(all), std::move(sliding), slides);
        return c;
    };
    family.from_gguf = [](const formats::GgufFile& file) {
        ModelConfig c = newer(file, "gemma3");
        c.query_key_norm = true;
        std::vector<bool> slides;
        for (std::int64_t i = 0; i < c.layers; ++i) slides.push_back((i + 1) % 6 != 0);
        set_windows(c, slides, file.integer("gemma3.attention.sliding_window", 0, largest_size, 4096));
        set_scale(c, query_scalar(c, 62), 0);
        c.logit_softcap = file.number("gemma3.final_logit_softcapping", 0, 1e6, 0);
        RopeConfig all = c.ropes[0], sliding = all;
        all.theta = file.number("gemma3.rope.freq_base", 1e-6, 1e12, 1e6);
        read_rope_scaling(all, file, "gemma3");
        sliding.theta = file.number("gemma3.rope.freq_base_swa", 1e-6, 1e12, 10000);
        set_ropes(c, all, sliding, slides);
        return c;
    };
    return family;
}

}  // namespace qlora::nn
