#pragma once
// A decoder-only transformer built from generic blocks; a family file fills the description.

#include <torch/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/data/batches.h"
#include "core/nn/functions/elementwise.h"
#include "core/nn/functions/linear.h"
#include "core/nn/rope.h"

namespace qlora::nn {

struct DecoderConfig {
    std::string family;  // "llama"
    std::int64_t vocabulary = 0, hidden = 0, intermediate = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
    std::int64_t context = 0;
    double norm_eps = 1e-6;
    Activation activation = Activation::silu;
    RopeConfig rope;
    bool attention_bias = false, mlp_bias = false, tied_embeddings = false;
};

// A frozen linear layer with a place for a trainable branch. `name` is transformers' module name.
struct Linear {
    std::string name;
    quant::Weight weight;                // [out, in]
    torch::Tensor bias;                  // fp32 [out] or undefined
    std::shared_ptr<LowRank> branch;     // null: none
    torch::Tensor operator()(const torch::Tensor& x, const DropoutKey& key = {}) const {
        return linear(x, weight, bias, branch.get(), key);
    }
};

struct Block {
    torch::Tensor attention_norm, mlp_norm;  // fp32 [hidden]
    Linear query, key, value, output, gate, up, down;
};

// The keys and values of one sequence, [capacity, kv_heads, head_dim] a layer; grows by doubling.
struct KeyValueCache {
    std::vector<torch::Tensor> keys, values;
    std::int64_t length = 0;
    void reserve(const DecoderConfig& config, std::int64_t capacity);
};

// The base is never written to. One thread at a time.
class Decoder {
  public:
    DecoderConfig config;
    quant::Weight embedding;  // [vocabulary, hidden]
    std::vector<Block> blocks;
    torch::Tensor final_norm;
    Linear head;              // shares the embedding's weight when tied
    torch::Tensor frequencies;
    torch::ScalarType compute = torch::kFloat32;
    bool gradient_checkpointing = false;

    // Hidden states before the final norm, [T, hidden], for packed segments.
    torch::Tensor hidden(const data::Batch& batch, const DropoutKey& key = {}) const;
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
    torch::Tensor embed(const std::vector<std::int32_t>& ids) const;
    torch::Tensor attend(const Block& block, const torch::Tensor& x, const torch::Tensor& cosine,
                         const torch::Tensor& sine, const DropoutKey& key,
                         const std::function<torch::Tensor(torch::Tensor, torch::Tensor, torch::Tensor)>& attention) const;
    torch::Tensor feed_forward(const Block& block, const torch::Tensor& x, const DropoutKey& key) const;
    torch::Tensor head_logits(const torch::Tensor& x) const;
};

}  // namespace qlora::nn
