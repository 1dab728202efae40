// LLaMA 1 to 3 and what shares their architecture (SmolLM, ...). Touvron et al. 2023; transformers' LlamaConfig;
// llama.cpp's "llama" architecture.

#include "core/nn/families/llama.h"

#include "core/base/error.h"

namespace qlora::nn {

namespace {

constexpr std::int64_t largest = std::int64_t{1} << 31;

Activation read_activation(const JsonObject& config) {
    const std::string name = config.string("hidden_act", "silu");
    if (name == "silu" || name == "swish") return Activation::silu;
    if (name == "gelu") return Activation::gelu;
    if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
    if (name == "relu") return Activation::relu;
    config.fail("hidden_act", "\"silu\", \"gelu\", \"gelu_pytorch_tanh\" or \"relu\"");
}

DecoderConfig from_config(const JsonObject& config) {
    DecoderConfig c;
    c.family = "llama";
    c.vocabulary = config.integer("vocab_size", 1, largest);
    c.hidden = config.integer("hidden_size", 1, 1 << 20);
    c.intermediate = config.integer("intermediate_size", 1, 1 << 22);
    c.layers = config.integer("num_hidden_layers", 1, 4096);
    c.heads = config.integer("num_attention_heads", 1, 1 << 16);
    c.kv_heads = config.integer("num_key_value_heads", 1, 1 << 16, c.heads);
    if (c.heads % c.kv_heads != 0)
        config.fail("num_key_value_heads", "a divisor of num_attention_heads (" + std::to_string(c.heads) + ")");
    if (!config.has("head_dim") && c.hidden % c.heads != 0)
        config.fail("num_attention_heads", "a divisor of hidden_size (" + std::to_string(c.hidden) + ") where head_dim is absent");
    c.head_dim = config.integer("head_dim", 2, 1 << 14, c.hidden / c.heads);
    if (c.head_dim % 2 != 0) config.fail("head_dim", "an even number (rotary positions turn pairs)");
    c.context = config.integer("max_position_embeddings", 1, largest, 2048);
    c.norm_eps = config.number("rms_norm_eps", 1e-20, 1, 1e-6);
    c.activation = read_activation(config);
    c.rope = read_rope(config, c.head_dim);
    c.attention_bias = config.boolean("attention_bias", false);
    c.mlp_bias = config.boolean("mlp_bias", false);
    c.tied_embeddings = config.boolean("tie_word_embeddings", false);
    return c;
}

DecoderConfig from_gguf(const formats::GgufFile& file) {
    const std::string a = "llama.";
    DecoderConfig c;
    c.family = "llama";
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
    c.context = file.integer(a + "context_length", 1, largest);
    c.norm_eps = file.number(a + "attention.layer_norm_rms_epsilon", 1e-20, 1);
    c.rope.theta = file.number(a + "rope.freq_base", 1e-6, 1e12, 10000);
    c.rope.dimensions = file.integer(a + "rope.dimension_count", 2, c.head_dim, c.head_dim) / 2 * 2;
    const std::string scaling = file.string(a + "rope.scaling.type", "none");
    if (scaling == "linear") {
        c.rope.scaling = RopeConfig::Scaling::linear;
        c.rope.factor = file.number(a + "rope.scaling.factor", 1e-3, 1e6);
    } else if (scaling != "none") {
        file.fail(a + "rope.scaling.type", "\"none\" or \"linear\"");
    }
    c.attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
    c.mlp_bias = file.find("blk.0.ffn_gate.bias") != nullptr;
    c.tied_embeddings = file.find("output.weight") == nullptr;
    return c;
}

}  // namespace

Family llama() {
    const std::string block = "model.layers.{}.";
    return {.name = "llama",
            .gguf_architecture = "llama",
            .from_config = from_config,
            .from_gguf = from_gguf,
            .embedding = {"model.embed_tokens.weight", "token_embd.weight"},
            .final_norm = {"model.norm.weight", "output_norm.weight"},
            .attention_norm = {block + "input_layernorm.weight", "blk.{}.attn_norm.weight"},
            .mlp_norm = {block + "post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"},
            .head = {"lm_head", "output"},
            .query = {block + "self_attn.q_proj", "blk.{}.attn_q"},
            .key = {block + "self_attn.k_proj", "blk.{}.attn_k"},
            .value = {block + "self_attn.v_proj", "blk.{}.attn_v"},
            .output = {block + "self_attn.o_proj", "blk.{}.attn_output"},
            .gate = {block + "mlp.gate_proj", "blk.{}.ffn_gate"},
            .up = {block + "mlp.up_proj", "blk.{}.ffn_up"},
            .down = {block + "mlp.down_proj", "blk.{}.ffn_down"},
            .gguf_interleaves_rotary_rows = true};
}

}  // namespace qlora::nn
