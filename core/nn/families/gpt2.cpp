#include <cmath>

#include "core/nn/families/common.h"
#include "core/nn/families/families.h"

namespace qlora::nn {

namespace {

ModelConfig shape(ModelConfig c) {
    c.kv_heads = c.heads;
    c.head_dim = c.hidden / c.heads;
    c.norm = ModelConfig::Norm::layer;
    c.gated = false;
    c.fused_qkv = true;
    c.attention_bias = c.output_bias = c.mlp_bias = true;
    c.ropes.clear();
    c.positions = c.context;
    c.set_layers();
    return c;
}

}  // namespace

Family gpt2() {
    const std::string block = "transformer.h.{}.";
    Family family;
    family.name = family.gguf_architecture = "gpt2";
    family.prefix = "transformer.";
    family.transposed_linears = true;
    family.embedding = {"transformer.wte.weight", "token_embd.weight"};
    family.positions = {"transformer.wpe.weight", "position_embd.weight"};
    family.stack.final_norm = {"transformer.ln_f", "output_norm"};
    family.stack.attention_norm = {block + "ln_1", "blk.{}.attn_norm"};
    family.stack.mlp_norm = {block + "ln_2", "blk.{}.ffn_norm"};
    family.head = {"lm_head", "output"};
    family.classifier.out = {"score", ""};
    family.stack.query = {block + "attn.c_attn", "blk.{}.attn_qkv"};
    family.stack.output = {block + "attn.c_proj", "blk.{}.attn_output"};
    family.stack.up = {block + "mlp.c_fc", "blk.{}.ffn_up"};
    family.stack.down = {block + "mlp.c_proj", "blk.{}.ffn_down"};
    family.from_config = [](const JsonObject& config) {
        ModelConfig c;
        c.family = "gpt2";
        c.vocabulary = config.integer("vocab_size", 1, largest_size, 50257);
        c.hidden = config.integer("n_embd", 1, 1 << 20, 768);
        c.layers = config.integer("n_layer", 1, 4096, 12);
        c.heads = config.integer("n_head", 1, 1 << 16, 12);
        if (c.hidden % c.heads != 0) config.fail("n_head", "a divisor of n_embd (" + std::to_string(c.hidden) + ")");
        c.intermediate = config.integer("n_inner", 1, 1 << 22, 4 * c.hidden);
        c.context = config.integer("n_positions", 1, largest_size, 1024);
        c.activation = activation_named(config, "activation_function", config.string("activation_function", "gelu_new"));
        c.norm_eps = config.number("layer_norm_epsilon", 1e-20, 1, 1e-5);
        c.dropout.embedding = read_dropout(config, "embd_pdrop", 0.1);
        c.dropout.attention = read_dropout(config, "attn_pdrop", 0.1);
        c.dropout.attention_output = c.dropout.mlp_output = read_dropout(config, "resid_pdrop", 0.1);
        c.tied_embeddings = config.boolean("tie_word_embeddings", true);
        c = shape(std::move(c));
        const bool scaled = config.boolean("scale_attn_weights", true), by_layer = config.boolean("scale_attn_by_inverse_layer_idx", false);
        for (std::size_t i = 0; i < c.per_layer.size(); ++i) {
            double& scale = c.per_layer[i].attention.scale;
            if (!scaled) scale = 1;
            if (by_layer) scale /= static_cast<double>(i + 1);
        }
        return c;
    };
    family.from_gguf = [](const formats::GgufFile& file) {
        ModelConfig c = read_sizes(file, "gpt2", "gpt2");
        c.activation = Activation::gelu_tanh;
        c.norm_eps = file.number("gpt2.attention.layer_norm_epsilon", 1e-20, 1, 1e-5);
        return shape(std::move(c));
    };
    return family;
}

}  // namespace qlora::nn
