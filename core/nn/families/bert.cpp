#include "core/base/error.h"
#include "core/nn/families/common.h"
#include "core/nn/families/families.h"

namespace qlora::nn {

namespace {

// What all encoders of this kind share: norms behind each sum, learned positions counted from `offset`.
ModelConfig shape(ModelConfig c, std::int64_t positions, std::int64_t offset) {
    c.causal = false;
    c.norm = ModelConfig::Norm::layer;
    c.norm_first = false;
    c.embedding_norm = true;
    c.gated = false;
    c.attention_bias = c.output_bias = c.mlp_bias = true;
    c.kv_heads = c.heads;
    c.head_dim = c.hidden / c.heads;
    c.positions = positions;
    c.position_offset = offset;
    c.context = positions - offset;
    c.set_layers();
    return c;
}

void expect_divisor(const JsonObject& config, const ModelConfig& c, const char* heads, const char* hidden) {
    if (c.hidden % c.heads != 0) config.fail(heads, "a divisor of " + std::string(hidden) + " (" + std::to_string(c.hidden) + ")");
}

ModelConfig read_bert(const JsonObject& config, const char* family, std::int64_t vocabulary, std::int64_t types, std::int64_t offset) {
    ModelConfig c;
    c.family = family;
    c.vocabulary = config.integer("vocab_size", 1, largest_size, vocabulary);
    c.hidden = config.integer("hidden_size", 1, 1 << 20, 768);
    c.intermediate = config.integer("intermediate_size", 1, 1 << 22, 3072);
    c.layers = config.integer("num_hidden_layers", 1, 4096, 12);
    c.heads = config.integer("num_attention_heads", 1, 1 << 16, 12);
    expect_divisor(config, c, "num_attention_heads", "hidden_size");
    c.norm_eps = config.number("layer_norm_eps", 1e-20, 1, 1e-12);
    c.activation = activation_named(config, "hidden_act", config.string("hidden_act", "gelu"));
    c.dropout.embedding = c.dropout.attention_output = c.dropout.mlp_output = read_dropout(config, "hidden_dropout_prob", 0.1);
    c.dropout.attention = read_dropout(config, "attention_probs_dropout_prob", 0.1);
    c.dropout.classifier = read_dropout(config, "classifier_dropout", c.dropout.embedding);
    c.token_types = config.integer("type_vocab_size", 1, 1 << 16, types);
    if (const auto kind = config.string("position_embedding_type", "absolute"); kind != "absolute")
        config.fail("position_embedding_type", "\"absolute\": other positions are not supported");
    if (config.boolean("is_decoder", false)) config.fail("is_decoder", "false: only encoders of this family are supported");
    return shape(std::move(c), config.integer("max_position_embeddings", offset + 1, largest_size, 512), offset);
}

// `prefix`: of the bare model's modules in a model with a head.
Family named_like_bert(const char* name, const std::string& prefix) {
    const std::string block = prefix + "encoder.layer.{}.";
    Family family;
    family.name = name;
    family.prefix = prefix;
    family.embedding = {prefix + "embeddings.word_embeddings.weight", "token_embd.weight"};
    family.positions = {prefix + "embeddings.position_embeddings.weight", "position_embd.weight"};
    family.token_types = {prefix + "embeddings.token_type_embeddings.weight", "token_types.weight"};
    family.embedding_norm = {prefix + "embeddings.LayerNorm", "token_embd_norm"};
    family.stack.attention_norm = {block + "attention.output.LayerNorm", "blk.{}.attn_output_norm"};
    family.stack.mlp_norm = {block + "output.LayerNorm", "blk.{}.layer_output_norm"};
    family.stack.query = {block + "attention.self.query", "blk.{}.attn_q"};
    family.stack.key = {block + "attention.self.key", "blk.{}.attn_k"};
    family.stack.value = {block + "attention.self.value", "blk.{}.attn_v"};
    family.stack.output = {block + "attention.output.dense", "blk.{}.attn_output"};
    family.stack.up = {block + "intermediate.dense", "blk.{}.ffn_up"};
    family.stack.down = {block + "output.dense", "blk.{}.ffn_down"};
    family.classifier.pooling = HeadConfig::Pooling::first;
    family.classifier.bias = true;
    return family;
}

ModelConfig read_gguf(const formats::GgufFile& file, const char* family) {
    const auto& embedding = file.at("token_embd.weight");
    const auto& types = file.at("token_types.weight");
    if (embedding.shape.size() != 2 || types.shape.size() != 2)
        throw input_error("tensor.shape", file.path().string(), "token_embd.weight and token_types.weight: expected two dimensions each");
    ModelConfig c;
    c.family = family;
    c.vocabulary = embedding.shape[0];
    c.token_types = types.shape[0];
    c.hidden = file.integer("bert.embedding_length", 1, 1 << 20);
    c.intermediate = file.integer("bert.feed_forward_length", 1, 1 << 22);
    c.layers = file.integer("bert.block_count", 1, 4096);
    c.heads = file.integer("bert.attention.head_count", 1, 1 << 16);
    if (c.hidden % c.heads != 0)
        file.fail("bert.attention.head_count", "a divisor of embedding_length (" + std::to_string(c.hidden) + ")");
    c.norm_eps = file.number("bert.attention.layer_norm_epsilon", 1e-20, 1, 1e-12);
    c.activation = Activation::gelu;
    // The converter leaves out the rows before the first position.
    return shape(std::move(c), file.integer("bert.context_length", 1, largest_size), 0);
}

bool has_byte_level_tokens(const formats::GgufFile& file) { return file.string("tokenizer.ggml.model", "") == "gpt2"; }

Family like_roberta(const char* name, ModelConfig (*from_config)(const JsonObject&)) {
    Family family = named_like_bert(name, "roberta.");
    family.classifier.dense = {"classifier.dense", "cls"};
    family.classifier.out = {"classifier.out_proj", "cls.output"};
    family.from_config = from_config;
    return family;
}

// Positions begin behind that of the padding token.
ModelConfig read_roberta(const JsonObject& config, const char* family) {
    const auto padding = config.integer("pad_token_id", 0, 1 << 20, 1);
    ModelConfig c = read_bert(config, family, 50265, 2, padding + 1);
    c.dropout.classifier_dense = c.dropout.classifier;
    return c;
}

}  // namespace

Family bert() {
    Family family = named_like_bert("bert", "bert.");
    family.gguf_architecture = "bert";
    family.is_in_gguf = [](const formats::GgufFile& file) { return !has_byte_level_tokens(file); };
    family.classifier.dense = {"bert.pooler.dense", "cls"};
    family.classifier.dense_in_base = true;
    family.classifier.out = {"classifier", "cls.output"};
    family.from_config = [](const JsonObject& config) { return read_bert(config, "bert", 30522, 2, 0); };
    family.from_gguf = [](const formats::GgufFile& file) { return read_gguf(file, "bert"); };
    return family;
}

Family roberta() {
    Family family = like_roberta("roberta", [](const JsonObject& config) { return read_roberta(config, "roberta"); });
    family.gguf_architecture = "bert";
    family.is_in_gguf = has_byte_level_tokens;
    family.from_gguf = [](const formats::GgufFile& file) { return read_gguf(file, "roberta"); };
    return family;
}

Family xlm_roberta() {
    return like_roberta("xlm-roberta", [](const JsonObject& config) { return read_roberta(config, "xlm-roberta"); });
}

Family distilbert() {
    const std::string block = "distilbert.transformer.layer.{}.";
    Family family = named_like_bert("distilbert", "distilbert.");
    family.token_types = {};
    family.stack.attention_norm = {block + "sa_layer_norm", ""};
    family.stack.mlp_norm = {block + "output_layer_norm", ""};
    family.stack.query = {block + "attention.q_lin", ""};
    family.stack.key = {block + "attention.k_lin", ""};
    family.stack.value = {block + "attention.v_lin", ""};
    family.stack.output = {block + "attention.out_lin", ""};
    family.stack.up = {block + "ffn.lin1", ""};
    family.stack.down = {block + "ffn.lin2", ""};
    family.classifier.dense = {"pre_classifier", ""};
    family.classifier.activation = Activation::relu;
    family.classifier.out = {"classifier", ""};
    family.from_config = [](const JsonObject& config) {
        ModelConfig c;
        c.family = "distilbert";
        c.vocabulary = config.integer("vocab_size", 1, largest_size, 30522);
        c.hidden = config.integer("dim", 1, 1 << 20, 768);
        c.intermediate = config.integer("hidden_dim", 1, 1 << 22, 3072);
        c.layers = config.integer("n_layers", 1, 4096, 6);
        c.heads = config.integer("n_heads", 1, 1 << 16, 12);
        expect_divisor(config, c, "n_heads", "dim");
        c.norm_eps = 1e-12;
        c.dropout.embedding = c.dropout.mlp_output = read_dropout(config, "dropout", 0.1);
        c.dropout.attention = read_dropout(config, "attention_dropout", 0.1);
        c.dropout.classifier = read_dropout(config, "seq_classif_dropout", 0.2);
        c.activation = activation_named(config, "activation", config.string("activation", "gelu"));
        return shape(std::move(c), config.integer("max_position_embeddings", 1, largest_size, 512), 0);
    };
    return family;
}

}  // namespace qlora::nn
