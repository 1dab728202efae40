#include "core/nn/families/common.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/error.h"

namespace qlora::nn {

Activation activation_named(const JsonObject& config, const char* key, const std::string& name) {
    if (name == "silu" || name == "swish") return Activation::silu;
    if (name == "gelu") return Activation::gelu;
    if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return Activation::gelu_tanh;
    if (name == "relu") return Activation::relu;
    if (name == "tanh") return Activation::tanh;
    config.fail(key, "\"silu\", \"gelu\", \"gelu_new\", \"gelu_pytorch_tanh\", \"relu\" or \"tanh\"");
}

double read_dropout(const JsonObject& config, const char* key, double fallback) {
    return std::min(config.number(key, 0, 1, fallback), 0.999);  // what is left is multiplied by 1 / (1 - p)
}

ModelConfig read_sizes(const JsonObject& config, const char* family, const Defaults& defaults) {
    ModelConfig c;
    c.family = family;
    c.vocabulary = config.integer("vocab_size", 1, largest_size);
    c.hidden = config.integer("hidden_size", 1, 1 << 20);
    c.intermediate = config.integer("intermediate_size", 1, 1 << 22);
    c.layers = config.integer("num_hidden_layers", 1, 4096);
    c.heads = config.integer("num_attention_heads", 1, 1 << 16);
    c.kv_heads = config.integer("num_key_value_heads", 1, 1 << 16, defaults.kv_heads > 0 ? defaults.kv_heads : c.heads);
    if (c.heads % c.kv_heads != 0)
        config.fail("num_key_value_heads", "a divisor of num_attention_heads (" + std::to_string(c.heads) + ")");
    if (!config.has("head_dim") && defaults.head_dim == 0 && c.hidden % c.heads != 0)
        config.fail("num_attention_heads", "a divisor of hidden_size (" + std::to_string(c.hidden) + ") where head_dim is absent");
    c.head_dim = config.integer("head_dim", 2, 1 << 14, defaults.head_dim > 0 ? defaults.head_dim : c.hidden / c.heads);
    if (c.head_dim % 2 != 0) config.fail("head_dim", "an even number (rotary positions turn pairs)");
    c.context = config.integer("max_position_embeddings", 1, largest_size, defaults.context);
    c.norm_eps = config.number("rms_norm_eps", 1e-20, 1, defaults.norm_eps);
    c.activation = activation_named(config, "hidden_act", config.string("hidden_act", defaults.activation));
    c.ropes = {read_rope(config, rope_parameters(config), c.head_dim, defaults.rope_theta)};
    if (c.ropes[0].scaling == RopeConfig::Scaling::dynamic)  // made to go on behind max_position_embeddings
        c.context = static_cast<std::int64_t>(static_cast<double>(c.context) * std::max(1.0, c.ropes[0].factor));
    c.tied_embeddings = config.boolean("tie_word_embeddings", defaults.tied);
    c.dropout.attention = read_dropout(config, "attention_dropout");
    c.set_layers();
    return c;
}

std::int64_t read_window(const JsonObject& config, std::int64_t fallback) {
    if (!config.raw().contains("sliding_window")) return fallback;
    return config.has("sliding_window") ? config.integer("sliding_window", 1, largest_size) : 0;
}

std::vector<bool> sliding_layers(const JsonObject& config, std::int64_t layers, const std::function<bool(std::int64_t)>& rule) {
    std::vector<bool> sliding;
    if (config.has("layer_types")) {
        const Json& types = config.value("layer_types");
        if (!types.is_array() || types.size() != static_cast<std::size_t>(layers))
            config.fail("layer_types", "a list of " + std::to_string(layers) + " names, one a layer");
        for (const Json& type : types) {
            if (type != "full_attention" && type != "sliding_attention")
                config.fail("layer_types", "\"full_attention\" or \"sliding_attention\" for each layer");
            sliding.push_back(type == "sliding_attention");
        }
    } else {
        for (std::int64_t i = 0; i < layers; ++i) sliding.push_back(rule(i));
    }
    return sliding;
}

void set_windows(ModelConfig& config, const std::vector<bool>& sliding, std::int64_t window) {
    for (std::size_t i = 0; i < sliding.size(); ++i) config.per_layer[i].attention.window = sliding[i] ? window : 0;
}

ModelConfig read_sizes(const formats::GgufFile& file, const std::string& architecture, const char* family) {
    const std::string a = architecture + ".";
    ModelConfig c;
    c.family = family;
    const auto& embedding = file.at("token_embd.weight");
    c.vocabulary = embedding.shape.size() == 2 ? embedding.shape[0] : 0;
    if (c.vocabulary < 1) throw input_error("tensor.shape", file.path().string(), "token_embd.weight: expected two dimensions");
    c.hidden = file.integer(a + "embedding_length", 1, 1 << 20);
    c.intermediate = file.integer(a + "feed_forward_length", 1, 1 << 22);
    c.layers = file.integer(a + "block_count", 1, 4096);
    c.heads = file.integer(a + "attention.head_count", 1, 1 << 16);
    c.kv_heads = file.integer(a + "attention.head_count_kv", 1, 1 << 16, c.heads);
    if (c.heads % c.kv_heads != 0)
        file.fail(a + "attention.head_count_kv", "a divisor of attention.head_count (" + std::to_string(c.heads) + ")");
    if (!file.has(a + "attention.key_length") && c.hidden % c.heads != 0)
        file.fail(a + "attention.head_count", "a divisor of embedding_length (" + std::to_string(c.hidden) + ")");
    c.head_dim = file.integer(a + "attention.key_length", 2, 1 << 14, c.hidden / c.heads);
    if (c.head_dim % 2 != 0) file.fail(a + "attention.key_length", "an even number");
    if (file.has(a + "attention.value_length") &&
        file.integer(a + "attention.value_length", 1, 1 << 14) != c.head_dim)
        file.fail(a + "attention.value_length", "the same as attention.key_length (" + std::to_string(c.head_dim) + ")");
    if (file.has(a + "expert_count") && file.integer(a + "expert_count", 0, 1 << 16) > 0)
        file.fail(a + "expert_count", "0: mixtures of experts are not supported");
    c.context = file.integer(a + "context_length", 1, largest_size);
    c.norm_eps = file.number(a + "attention.layer_norm_rms_epsilon", 1e-20, 1, c.norm_eps);
    RopeConfig rope;
    rope.theta = file.number(a + "rope.freq_base", 1e-6, 1e12, 10000);
    rope.dimensions = file.integer(a + "rope.dimension_count", 2, c.head_dim, c.head_dim) / 2 * 2;
    c.ropes = {rope};
    c.attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
    c.output_bias = file.find("blk.0.attn_output.bias") != nullptr;
    c.mlp_bias = file.find("blk.0.ffn_up.bias") != nullptr;
    c.tied_embeddings = file.find("output.weight") == nullptr;
    c.set_layers();
    return c;
}

void read_rope_scaling(RopeConfig& rope, const formats::GgufFile& file, const std::string& architecture) {
    const std::string key = architecture + ".rope.scaling.";
    const std::string scaling = file.string(key + "type", "none");
    if (scaling == "none") return;
    if (scaling != "linear" && scaling != "yarn") file.fail(key + "type", "\"none\", \"linear\" or \"yarn\"");
    rope.factor = file.number(key + "factor", 1e-3, 1e6);
    if (scaling == "linear") {
        rope.scaling = RopeConfig::Scaling::linear;
        return;
    }
    rope.scaling = RopeConfig::Scaling::yarn;
    rope.original_context = file.integer(key + "original_context_length", 1, largest_size,
                                         file.integer(architecture + ".context_length", 1, largest_size));
    rope.attention_factor = file.number(key + "attn_factor", 0, 1e3, 1) * (rope.factor <= 1 ? 1 : 0.1 * std::log(rope.factor) + 1);
}

std::vector<double> read_numbers(const formats::GgufFile& file, const std::string& tensor, std::int64_t count) {
    const auto& stored = file.at(tensor);
    if (stored.type != formats::GgmlType::f32 || stored.shape != std::vector<std::int64_t>{count})
        throw input_error("tensor.shape", file.path().string(),
                          "the tensor \"" + tensor + "\": expected " + std::to_string(count) + " numbers in F32");
    std::vector<float> values(static_cast<std::size_t>(count));
    std::memcpy(values.data(), stored.data.data(), values.size() * sizeof(float));
    return {values.begin(), values.end()};
}

Family named_like_llama(const char* name, const char* architecture) {
    const std::string block = "model.layers.{}.";
    Family family;
    family.name = name;
    family.gguf_architecture = architecture;
    family.embedding = {"model.embed_tokens.weight", "token_embd.weight"};
    family.stack.final_norm = {"model.norm", "output_norm"};
    family.stack.attention_norm = {block + "input_layernorm", "blk.{}.attn_norm"};
    family.stack.mlp_norm = {block + "post_attention_layernorm", "blk.{}.ffn_norm"};
    family.stack.query_norm = {block + "self_attn.q_norm", "blk.{}.attn_q_norm"};
    family.stack.key_norm = {block + "self_attn.k_norm", "blk.{}.attn_k_norm"};
    family.head = {"lm_head", "output"};
    family.classifier.out = {"score", ""};
    family.stack.query = {block + "self_attn.q_proj", "blk.{}.attn_q"};
    family.stack.key = {block + "self_attn.k_proj", "blk.{}.attn_k"};
    family.stack.value = {block + "self_attn.v_proj", "blk.{}.attn_v"};
    family.stack.output = {block + "self_attn.o_proj", "blk.{}.attn_output"};
    family.stack.gate = {block + "mlp.gate_proj", "blk.{}.ffn_gate"};
    family.stack.up = {block + "mlp.up_proj", "blk.{}.ffn_up"};
    family.stack.down = {block + "mlp.down_proj", "blk.{}.ffn_down"};
    return family;
}

}  // namespace qlora::nn
