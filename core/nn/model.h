#pragma once
// A transformer built from generic blocks after a description.

#include <torch/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/data/batches.h"
#include "core/nn/functions/linear.h"
#include "core/nn/model_config.h"

namespace qlora::nn {

// A small tensor of the base, fp32, with a place for what is trained in its stead. `name` is transformers' name of it.
struct Parameter {
    std::string name{};
    torch::Tensor base{};                // undefined: none
    std::shared_ptr<Trained> trained{};  // null: none
    bool defined() const { return base.defined(); }
    const torch::Tensor& now() const { return trained && trained->enabled ? trained->values : base; }
};

// A linear layer of the base with places for a trainable branch and for what is trained in its weight's stead. `name` is
// transformers' module name.
struct Linear {
    std::string name;
    quant::Weight weight;                  // [out, in]
    Parameter bias{};                      // [out]
    std::shared_ptr<LowRank> branch{};     // null: none
    std::shared_ptr<Trained> trained{};    // null: none
    std::shared_ptr<Quantizer> quantizer{};  // of quantization-aware training; null: none
    bool defined() const { return weight.defined(); }
    LinearParts parts() const;  // as they are now: what is off is left out
    torch::Tensor operator()(const torch::Tensor& x, const DropoutKey& key = {}, Arithmetic arithmetic = Arithmetic::fp32) const;
};

// What layers that read the same numbers make of them.
std::vector<torch::Tensor> read(const Source& source, std::initializer_list<const Linear*> layers, const DropoutKey& key);

struct Norm {
    Parameter weight, bias;
    bool defined() const { return weight.defined(); }
};

// A bottleneck adapter layer: up(relu(down(x))), added to what a part of a block gives; x is that, or, in parallel, what the
// part reads (Houlsby et al. 2019; parallel: He et al. 2022). Shapes down [width, hidden], up [hidden, width], fp32 leaves.
struct Bottleneck {
    torch::Tensor down{}, down_bias{}, up{}, up_bias{};
    bool parallel = false;
    bool enabled = true;
    torch::Tensor operator()(const torch::Tensor& x) const;
};

struct Block {
    Norm attention_norm, cross_norm, mlp_norm, attention_post_norm, mlp_post_norm, query_norm, key_norm;
    Linear query, key, value, output;                          // unused ones are empty; fused ones lie in query and in up
    Linear cross_query, cross_key, cross_value, cross_output;  // of a decoder to its encoder
    Linear gate, up, down;
    std::shared_ptr<Bottleneck> attention_adapter, mlp_adapter;  // null: none

    std::vector<Linear*> linears();  // those in use, in order
    std::vector<Norm*> norms();
    void to(torch::Device device);
};

struct Stack {
    std::vector<Block> blocks;
    Norm final_norm;              // undefined where blocks end with norms
    Parameter relative_bias;      // [buckets, heads]; undefined: none
};

// What one row says to a model: token ids and, where they are used, their types (empty: all 0) and the decoder's ids.
struct Input {
    std::vector<std::int32_t> ids, types{}, decoder_ids{};
};

// The keys and values of one sequence, [capacity, kv_heads, head_dim] a layer; grows by doubling.
struct KeyValueCache {
    std::vector<std::int32_t> ids;  // of the sequence so far
    std::vector<torch::Tensor> keys, values;
    std::vector<torch::Tensor> cross_keys, cross_values;  // of what the encoder gave, [length, kv_heads, head_dim] a layer
    std::int64_t length = 0;  // of ids and virtual tokens
    void reserve(const ModelConfig& config, std::int64_t capacity, torch::Device device = torch::kCPU);
};

// What goes into each block, and last what goes into the head; [T, hidden] each.
struct States {
    std::vector<torch::Tensor> encoder;  // of an encoder-decoder, its last normed
    std::vector<torch::Tensor> stack;
};

// The base is never written to. One thread at a time.
class Model {
  public:
    ModelConfig config;
    quant::Weight embedding;                // [vocabulary, hidden]
    std::string embedding_name;             // transformers' module name
    std::shared_ptr<Trained> trained_embedding;  // null: none; in place of the embedding where ids are read
    Parameter positions, token_types;       // [config.positions, hidden], [config.token_types, hidden]
    // Virtual tokens, fp32 leaves; null: none. A prompt [n, hidden] stands before each row where ids are embedded (Lester et al.
    // 2021), in an encoder-decoder before what the encoder reads; a prefix [n, layers * 2 * kv_width] is n keys and values, turned
    // as they are to be, that all tokens of a row see in each layer (Li and Liang 2021). A row's own tokens count their positions
    // from n on.
    std::shared_ptr<Trained> prompt, prefix;
    Norm embedding_norm;
    Stack encoder, stack;                   // the encoder of an encoder-decoder, empty otherwise; the blocks before the head
    Linear head_dense, head;                // a language model's head shares the embedding's weight when tied
    std::vector<std::string> fresh_modules;  // not in the file, and so set at random: they have to be trained whole
    torch::Tensor rope_divisors;            // of the frequencies; undefined: none
    Arithmetic arithmetic = Arithmetic::fp32;
    bool gradient_checkpointing = false;
    double label_smoothing = 0;  // of targets and classes (head.h), in passes whose key is training
    double neftune_alpha = 0;   // of the noise on what a decoder embeds (Jain et al. 2023), in passes whose key is training
    bool base_dropout = false;  // config.dropout, in passes whose key is training

    // Hidden states before the final norm, [T, hidden] ([U, hidden] in an encoder-decoder), for packed segments. `states`,
    // where given, gets what goes into each block.
    torch::Tensor hidden(const data::Batch& batch, const DropoutKey& key = {}, States* states = nullptr) const;
    // No gradients.
    States hidden_states(const Input& input) const;
    // The loss summed over the batch's targets, a scalar: -log p(target), nats; of a classifier over its rows: -log p(class),
    // or the mean over the labels of binary cross-entropy, or of squared errors. Throws input_error for an id outside the
    // vocabulary, failure where the model has no head for the batch.
    torch::Tensor loss_sum(const data::Batch& batch, const DropoutKey& key = {}) const;
    // Of a classifier, fp32 [S, labels]; and loss_sum's part behind them.
    torch::Tensor class_logits(const data::Batch& batch, const DropoutKey& key = {}) const;
    torch::Tensor class_loss_sum(const torch::Tensor& logits, const data::Batch& batch, const DropoutKey& key = {}) const;
    // For one row: fp32 [T, vocabulary], [U, vocabulary] of an encoder-decoder, [labels] of a classifier, on the CPU. No
    // gradients.
    torch::Tensor logits(const Input& input) const;
    torch::Tensor logits(const std::vector<std::int32_t>& ids) const { return logits(Input{ids}); }

    // Begins a sequence that answers `source` (encoder-decoders).
    void read_source(const std::vector<std::int32_t>& source, KeyValueCache& cache) const;
    // Appends `ids` to the sequence in the cache; fp32 logits [vocabulary] after the last of them, on the model's device.
    torch::Tensor next_logits(const std::vector<std::int32_t>& ids, KeyValueCache& cache) const;

    // All linear layers in order: the encoder's, the blocks', the head's.
    void for_each_linear(const std::function<void(Linear&)>& f);
    void for_each_linear(const std::function<void(const Linear&)>& f) const;
    // All small tensors that the model has, in order: norms, biases, learned positions.
    void for_each_parameter(const std::function<void(Parameter&)>& f);
    std::int64_t parameters() const;
    std::int64_t weight_bytes() const;

    std::int64_t virtual_tokens() const { return length(prompt) + length(prefix); }  // in front of each row

    // Where the base lies and all is computed, and a move of all that is not there yet. Before an adapter is attached.
    torch::Device device() const { return embedding.device(); }
    void to(torch::Device device);

  private:
    static std::int64_t length(const std::shared_ptr<Trained>& tokens) { return tokens && tokens->enabled ? tokens->values.size(0) : 0; }
    // What was attended to, [T, heads, D], and perhaps what is kept of it.
    using Attended = std::pair<torch::Tensor, torch::Tensor>;
    using Attention = std::function<Attended(torch::Tensor q, torch::Tensor k, torch::Tensor v)>;
    using CrossAttention = std::function<Attended(torch::Tensor q)>;

    // A pack with its virtual tokens.
    struct Placed {
        std::vector<std::int32_t> positions, starts, types;
        std::vector<std::int64_t> prompted;  // where each token comes from in the prompt followed by the ids; empty: as it is
        std::vector<std::int64_t> own;       // where the ids lie
        std::vector<std::int64_t> keyed;     // where each key comes from in the prefix followed by the keys; empty: as it is
        std::vector<std::int32_t> key_starts;
    };
    Placed placed(const std::vector<std::int32_t>& positions, const std::vector<std::int32_t>& starts, const std::vector<std::int32_t>& types,
                  bool prompted, bool prefixed) const;
    torch::Tensor with_prefix(const torch::Tensor& x, std::size_t layer, std::int64_t part, const torch::Tensor& keyed) const;
    torch::Tensor without_virtual(const torch::Tensor& x, const Placed& placed) const;
    void begin(KeyValueCache& cache) const;
    torch::Tensor embed(const std::vector<std::int32_t>& ids, const Placed& placed) const;
    // Where the base drops numbers, each with a stream of its own in every block.
    enum class DropoutSite : std::uint8_t { embedding, attention, attention_output, cross_attention, cross_output, mlp_inner, mlp_output, final_norm, classifier, classifier_dense };
    torch::Tensor base_dropped(const torch::Tensor& x, double p, const DropoutKey& key, DropoutSite site) const;
    torch::Tensor noised(const torch::Tensor& x, const std::vector<std::int32_t>& starts, const DropoutKey& key) const;
    AttentionDropout attention_dropout(const DropoutKey& key, DropoutSite site) const;
    std::vector<RopeTables> tables(const std::vector<std::int32_t>& positions, const std::vector<std::int32_t>& starts) const;
    std::shared_ptr<RelativeBias> bias(const Stack& of, bool causal) const;
    Source norm_of(const torch::Tensor& x, const Norm& norm) const;
    torch::Tensor normed(const torch::Tensor& x, const Norm& norm) const;
    torch::Tensor summed(const torch::Tensor& x, const torch::Tensor& y, const Norm& norm, const Norm& post) const;
    torch::Tensor turned(const torch::Tensor& x, std::size_t layer, const std::vector<RopeTables>& tables) const;
    torch::Tensor attend(const Block& block, const torch::Tensor& x, const DropoutKey& key, const Attention& attention) const;
    torch::Tensor attend_across(const Block& block, const torch::Tensor& x, const DropoutKey& key, const CrossAttention& attention) const;
    torch::Tensor output(const Linear& layer, const Attended& attended, const DropoutKey& key) const;
    torch::Tensor feed_forward(const Block& block, const torch::Tensor& x, const DropoutKey& key) const;
    torch::Tensor in_heads(const torch::Tensor& x, std::int64_t heads) const { return x.reshape({x.size(0), heads, config.head_dim}); }
    // Through the blocks of one of the two stacks.
    torch::Tensor through(const Stack& of, torch::Tensor x, const Placed& placed, const torch::Tensor& memory,
                          const std::vector<std::int32_t>& memory_starts, const DropoutKey& key,
                          std::vector<torch::Tensor>* received) const;
    torch::Tensor encoded(const data::Batch& batch, const Placed& placed, const DropoutKey& key, std::vector<torch::Tensor>* received) const;
    torch::Tensor head_input(const torch::Tensor& x, DropoutKey key = {}) const;
    torch::Tensor head_logits(const torch::Tensor& x) const;
    std::int64_t small_parameters() const;
};

}  // namespace qlora::nn
