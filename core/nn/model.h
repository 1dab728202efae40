#pragma once
// A decoder-only transformer built from generic blocks; a family file fills the description.

#include <torch/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/data/batches.h"
#include "core/nn/functions/attention.h"
#include "core/nn/functions/elementwise.h"
#include "core/nn/functions/linear.h"
#include "core/nn/rope.h"

namespace qlora::nn {

// What may differ from layer to layer.
struct LayerConfig {
    AttentionRule attention;
    std::size_t rope = 0;  // index into ModelConfig::ropes
};

struct ModelConfig {
    std::string family;  // "llama"
    std::int64_t vocabulary = 0, hidden = 0, intermediate = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
    std::int64_t context = 0;
    enum class Norm { rms, layer } norm = Norm::rms;
    double norm_eps = 1e-6;
    double norm_offset = 0;  // added to the weights of RMS norms; 1 in Gemma's safetensors
    Activation activation = Activation::silu;
    bool gated = true;                               // down(activation(gate) * up), else down(activation(up))
    bool fused_qkv = false, fused_gate_up = false;   // one matrix for query, key and value; for gate and up
    bool attention_bias = false, output_bias = false, mlp_bias = false;  // of query, key, value; of output; of the MLP's
    bool query_key_norm = false;                     // RMS norm of each head's query and key (Qwen 3, Gemma 3)
    bool post_norms = false;                         // norms behind attention and MLP, before the residual (Gemma 2, 3)
    bool tied_embeddings = false;
    double embedding_scale = 1;
    double logit_softcap = 0;                        // 0: none
    std::vector<RopeConfig> ropes;                   // none: learned positions (GPT-2)
    std::vector<LayerConfig> per_layer;              // as many as layers

    // All layers alike, with scores scaled by 1 / sqrt(head_dim). Call it when layers and head_dim are known.
    void set_layers(std::int64_t window = 0);
    std::int64_t kv_width() const { return kv_heads * head_dim; }
    std::int64_t query_width() const { return heads * head_dim; }
};

// A frozen linear layer with a place for a trainable branch. `name` is transformers' module name.
struct Linear {
    std::string name;
    quant::Weight weight;                // [out, in]
    torch::Tensor bias;                  // fp32 [out] or undefined
    std::shared_ptr<LowRank> branch;     // null: none
    std::shared_ptr<TrainedLinear> trained{};  // null: none
    torch::Tensor operator()(const torch::Tensor& x, const DropoutKey& key = {}) const;
};

struct Norm {
    torch::Tensor weight, bias;  // fp32; no bias: undefined
};

struct Block {
    Norm attention_norm, mlp_norm, attention_post_norm, mlp_post_norm, query_norm, key_norm;
    Linear query, key, value, output, gate, up, down;  // unused ones are empty; fused ones lie in query and in up

    std::vector<Linear*> linears(const ModelConfig& config);  // those in use, in order
};

// The keys and values of one sequence, [capacity, kv_heads, head_dim] a layer; grows by doubling.
struct KeyValueCache {
    std::vector<std::int32_t> ids;  // of the sequence so far
    std::vector<torch::Tensor> keys, values;
    std::int64_t length = 0;
    void reserve(const ModelConfig& config, std::int64_t capacity);
};

// The base is never written to. One thread at a time.
class Model {
  public:
    ModelConfig config;
    quant::Weight embedding;  // [vocabulary, hidden]
    std::vector<Block> blocks;
    torch::Tensor positions;  // fp32 [context, hidden] where positions are learned
    Norm final_norm;
    Linear head;                  // shares the embedding's weight when tied
    torch::Tensor rope_divisors;  // of the frequencies; undefined: none
    torch::ScalarType compute = torch::kFloat32;
    bool gradient_checkpointing = false;

    // Hidden states before the final norm, [T, hidden], for packed segments. `received`, where given, gets what goes into
    // each block.
    torch::Tensor hidden(const data::Batch& batch, const DropoutKey& key = {}, std::vector<torch::Tensor>* received = nullptr) const;
    // For one sequence what goes into each block, and last what goes into the head; [T, hidden] each. No gradients.
    std::vector<torch::Tensor> hidden_states(const std::vector<std::int32_t>& ids) const;
    // The sum of -log p(target) over the batch's targets, nats, a scalar. Throws input_error for an id outside the
    // vocabulary.
    torch::Tensor loss_sum(const data::Batch& batch, const DropoutKey& key = {}) const;
    // fp32 [T, vocabulary] for one sequence.
    torch::Tensor logits(const std::vector<std::int32_t>& ids) const;
    // Appends `ids` to the sequence in the cache; fp32 logits [vocabulary] after the last of them.
    torch::Tensor next_logits(const std::vector<std::int32_t>& ids, KeyValueCache& cache) const;

    // All linear layers of the blocks, in order; then the head.
    void for_each_linear(const std::function<void(Linear&)>& f);
    void for_each_linear(const std::function<void(const Linear&)>& f) const;
    std::int64_t parameters() const;
    std::int64_t weight_bytes() const;

  private:
    using Attention = std::function<torch::Tensor(torch::Tensor q, torch::Tensor k, torch::Tensor v)>;

    torch::Tensor embed(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& positions) const;
    std::vector<RopeTables> tables(const std::vector<std::int32_t>& positions, const std::vector<std::int32_t>& starts) const;
    torch::Tensor normed(const torch::Tensor& x, const Norm& norm) const;
    torch::Tensor turned(const torch::Tensor& x, std::size_t layer, const std::vector<RopeTables>& tables) const;
    torch::Tensor attend(const Block& block, const torch::Tensor& x, const DropoutKey& key, const Attention& attention) const;
    torch::Tensor feed_forward(const Block& block, const torch::Tensor& x, const DropoutKey& key) const;
    torch::Tensor head_logits(const torch::Tensor& x) const;
    std::vector<torch::Tensor> vectors() const;  // norms, biases, learned positions
};

}  // namespace qlora::nn
