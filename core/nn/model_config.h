#pragma once
// The description of a transformer, filled by its family from config.json or GGUF metadata: what generic blocks are built
// from. A decoder (GPT, LLaMA), an encoder (BERT), or an encoder and a decoder that reads it (T5).

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/nn/functions/attention.h"
#include "core/nn/functions/elementwise.h"
#include "core/nn/rope.h"
#include "core/recipe/recipe.h"

namespace qlora::nn {

// What may differ from layer to layer.
struct LayerConfig {
    AttentionRule attention;
    std::size_t rope = 0;  // index into ModelConfig::ropes
};

// What stands behind the last block.
struct HeadConfig {
    enum class Kind { none, language_model, classifier } kind = Kind::language_model;
    // Of a classifier: logits = out(activation(dense(h))) or out(h), h being the state of a row's first or last token.
    enum class Pooling { first, last } pooling = Pooling::last;
    bool dense = false;
    Activation activation = Activation::tanh;
    bool bias = false;                 // of out
    std::vector<std::string> labels;   // their names, in the order of the logits
    recipe::ProblemType problem = recipe::ProblemType::single_label;
    std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
};

// Where transformers drops numbers while the base is in training mode, and how many; 0: nowhere.
struct DropoutConfig {
    double embedding = 0, attention = 0;   // of what goes into the blocks; of attention's probabilities
    double attention_output = 0, mlp_output = 0;  // before the residual sums
    double mlp_inner = 0;                  // of the activation, before down (T5)
    double final_norm = 0;                 // of what the last norm gives (T5)
    double classifier = 0, classifier_dense = 0;  // of what the classifier reads; of what stands before its dense layer (RoBERTa)

    bool any() const { return std::max({embedding, attention, attention_output, mlp_output, mlp_inner, final_norm, classifier, classifier_dense}) > 0; }
};

struct ModelConfig {
    std::string family;  // "llama"
    std::int64_t vocabulary = 0, hidden = 0, intermediate = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
    std::int64_t context = 0;
    bool causal = true;          // false: an encoder alone
    enum class Norm { rms, layer } norm = Norm::rms;
    double norm_eps = 1e-6;
    double norm_offset = 0;      // added to the weights of RMS norms; 1 in Gemma's safetensors
    bool norm_first = true;      // before attention and MLP, and once more at the end; false: behind each sum (BERT)
    bool embedding_norm = false;
    Activation activation = Activation::silu;
    bool gated = true;                              // down(activation(gate) * up), else down(activation(up))
    bool fused_qkv = false, fused_gate_up = false;  // one matrix for query, key and value; for gate and up
    bool attention_bias = false, output_bias = false, mlp_bias = false;  // of query, key, value; of output; of the MLP's
    bool query_key_norm = false;                    // RMS norm of each head's query and key (Qwen 3, Gemma 3)
    bool post_norms = false;                        // norms behind attention and MLP, before the residual (Gemma 2, 3)
    bool tied_embeddings = false;
    double embedding_scale = 1;
    double logit_softcap = 0;                       // 0: none
    double head_scale = 1;                          // of what a language model's head gets (T5 with tied embeddings)
    std::int64_t positions = 0, position_offset = 0;  // learned positions in the table, 0: none; where the first one lies
    std::int64_t token_types = 0;                   // 0: none
    std::vector<RopeConfig> ropes;                  // none: no rotary positions
    std::int64_t relative_buckets = 0, relative_distance = 128;  // T5's relative positions; 0: none
    std::int64_t encoder_layers = 0;                // above 0: the blocks are a decoder that also attends to an encoder
    std::int32_t decoder_start = 0, decoder_pad = 0;  // tokens: the decoder's first; what stands for an ignored target
    std::vector<LayerConfig> per_layer;             // as many as layers
    HeadConfig head;
    DropoutConfig dropout;

    // All layers alike, with scores scaled by 1 / sqrt(head_dim). Call it when layers, head_dim and causal are known.
    void set_layers(std::int64_t window = 0);
    std::int64_t kv_width() const { return kv_heads * head_dim; }
    std::int64_t query_width() const { return heads * head_dim; }
    bool head_is_embedding() const { return tied_embeddings && head.kind == HeadConfig::Kind::language_model; }
    bool encoder_decoder() const { return encoder_layers > 0; }
    // Tokens beyond which the model cannot go at all: with relative positions there is no such number.
    std::int64_t token_limit() const { return relative_buckets > 0 ? std::int64_t{1} << 30 : context; }
};

}  // namespace qlora::nn
