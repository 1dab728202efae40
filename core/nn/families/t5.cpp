#include <cmath>

#include "core/base/error.h"
#include "core/nn/families/common.h"
#include "core/nn/families/families.h"

namespace qlora::nn {

namespace {

// No biases, no scale of the scores (it was folded into the weights), relative positions.
ModelConfig shape(ModelConfig c) {
    c.kv_heads = c.heads;
    c.set_layers();
    for (LayerConfig& layer : c.per_layer) layer.attention.scale = 1;
    return c;
}

// What the feed-forward is called: "relu", "gated-gelu", "gated-silu".
void read_feed_forward(ModelConfig& c, const JsonObject& config) {
    std::string name = config.string("feed_forward_proj", "relu");
    c.gated = name.starts_with("gated-");
    if (c.gated) name = name.substr(6);
    // The approximation is meant here, whatever it is called.
    c.activation = c.gated && name == "gelu" ? Activation::gelu_tanh : activation_named(config, "feed_forward_proj", name);
}

StackNames names_of(const std::string& stack, const std::string& gguf, const std::string& feed_forward) {
    const std::string block = stack + ".block.{}.layer.", file = gguf + ".blk.{}.";
    StackNames names;
    names.final_norm = {stack + ".final_layer_norm", gguf + ".output_norm"};
    names.attention_norm = {block + "0.layer_norm", file + "attn_norm"};
    names.query = {block + "0.SelfAttention.q", file + "attn_q"};
    names.key = {block + "0.SelfAttention.k", file + "attn_k"};
    names.value = {block + "0.SelfAttention.v", file + "attn_v"};
    names.output = {block + "0.SelfAttention.o", file + "attn_o"};
    names.relative_bias = {block + "0.SelfAttention.relative_attention_bias.weight", file + "attn_rel_b.weight"};
    names.cross_norm = {block + "1.layer_norm", file + "cross_attn_norm"};
    names.cross_query = {block + "1.EncDecAttention.q", file + "cross_attn_q"};
    names.cross_key = {block + "1.EncDecAttention.k", file + "cross_attn_k"};
    names.cross_value = {block + "1.EncDecAttention.v", file + "cross_attn_v"};
    names.cross_output = {block + "1.EncDecAttention.o", file + "cross_attn_o"};
    names.mlp_norm = {block + feed_forward + ".layer_norm", file + "ffn_norm"};
    names.gate = {block + feed_forward + ".DenseReluDense.wi_0", file + "ffn_gate"};
    names.up = {block + feed_forward + ".DenseReluDense.wi_1", file + "ffn_up"};
    names.ungated_up = {block + feed_forward + ".DenseReluDense.wi", file + "ffn_up"};
    names.down = {block + feed_forward + ".DenseReluDense.wo", file + "ffn_down"};
    return names;
}

}  // namespace

Family t5() {
    Family family;
    family.name = family.gguf_architecture = "t5";
    family.prefix = "";
    family.embedding = {"shared.weight", "token_embd.weight"};
    family.head = {"lm_head", "output"};
    family.tied_unless_stored = true;
    family.encoder = names_of("encoder", "enc", "1");
    family.stack = names_of("decoder", "dec", "2");
    family.from_config = [](const JsonObject& config) {
        ModelConfig c;
        c.family = "t5";
        c.vocabulary = config.integer("vocab_size", 1, largest_size, 32128);
        c.hidden = config.integer("d_model", 1, 1 << 20, 512);
        c.head_dim = config.integer("d_kv", 1, 1 << 14, 64);
        c.intermediate = config.integer("d_ff", 1, 1 << 22, 2048);
        c.encoder_layers = config.integer("num_layers", 1, 4096, 6);
        c.layers = config.integer("num_decoder_layers", 1, 4096, c.encoder_layers);
        c.heads = config.integer("num_heads", 1, 1 << 16, 8);
        c.context = config.integer("n_positions", 1, largest_size, 512);
        c.relative_buckets = config.integer("relative_attention_num_buckets", 4, 1 << 16, 32);
        c.relative_distance = config.integer("relative_attention_max_distance", 2, largest_size, 128);
        if (c.relative_buckets % 2 != 0) config.fail("relative_attention_num_buckets", "an even number");
        if (c.relative_distance <= c.relative_buckets / 2)
            config.fail("relative_attention_max_distance", "more than half of relative_attention_num_buckets");
        c.norm_eps = config.number("layer_norm_epsilon", 1e-20, 1, 1e-6);
        auto& d = c.dropout;
        d.embedding = d.attention = d.attention_output = d.mlp_inner = d.mlp_output = d.final_norm = read_dropout(config, "dropout_rate", 0.1);
        read_feed_forward(c, config);
        // Version 1.1 and Flan-T5 say that they do not tie, and therefore do not scale.
        const bool scales = config.boolean("scale_decoder_outputs", config.boolean("tie_word_embeddings", true));
        c.head_scale = scales ? 1 / std::sqrt(static_cast<double>(c.hidden)) : 1;
        c.decoder_pad = static_cast<std::int32_t>(config.integer("pad_token_id", 0, c.vocabulary - 1, 0));
        c.decoder_start = static_cast<std::int32_t>(config.integer("decoder_start_token_id", 0, c.vocabulary - 1, c.decoder_pad));
        return shape(std::move(c));
    };
    family.from_gguf = [](const formats::GgufFile& file) {
        const auto& embedding = file.at("token_embd.weight");
        if (embedding.shape.size() != 2)
            throw input_error("tensor.shape", file.path().string(), "token_embd.weight: expected two dimensions");
        ModelConfig c;
        c.family = "t5";
        c.vocabulary = embedding.shape[0];
        c.hidden = file.integer("t5.embedding_length", 1, 1 << 20);
        c.head_dim = file.integer("t5.attention.key_length", 1, 1 << 14);
        if (file.has("t5.attention.value_length") && file.integer("t5.attention.value_length", 1, 1 << 14) != c.head_dim)
            file.fail("t5.attention.value_length", "the same as attention.key_length (" + std::to_string(c.head_dim) + ")");
        c.intermediate = file.integer("t5.feed_forward_length", 1, 1 << 22);
        c.encoder_layers = file.integer("t5.block_count", 1, 4096);
        c.layers = file.integer("t5.decoder_block_count", 1, 4096, c.encoder_layers);
        c.heads = file.integer("t5.attention.head_count", 1, 1 << 16);
        c.context = file.integer("t5.context_length", 1, largest_size, 512);
        c.relative_buckets = file.integer("t5.attention.relative_buckets_count", 4, 1 << 16);
        if (c.relative_buckets % 2 != 0 || c.relative_buckets / 2 >= c.relative_distance)
            file.fail("t5.attention.relative_buckets_count", "an even number below " + std::to_string(2 * c.relative_distance));
        c.norm_eps = file.number("t5.attention.layer_norm_rms_epsilon", 1e-20, 1,
                                 file.number("t5.attention.layer_norm_epsilon", 1e-20, 1, 1e-6));
        c.gated = file.find("enc.blk.0.ffn_gate.weight") != nullptr;
        c.activation = c.gated ? Activation::gelu_tanh : Activation::relu;
        c.head_scale = file.find("output.weight") == nullptr ? 1 / std::sqrt(static_cast<double>(c.hidden)) : 1;
        c.decoder_start = static_cast<std::int32_t>(file.integer("t5.decoder_start_token_id", 0, c.vocabulary - 1, 0));
        c.decoder_pad = static_cast<std::int32_t>(file.integer("tokenizer.ggml.padding_token_id", 0, c.vocabulary - 1, 0));
        return shape(std::move(c));
    };
    return family;
}

}  // namespace qlora::nn
