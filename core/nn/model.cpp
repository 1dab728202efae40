#include "core/nn/model.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/error.h"
#include "core/memory/meters.h"
#include "core/nn/functions/checkpoint.h"
#include "core/nn/functions/head.h"

namespace qlora::nn {

using torch::Tensor;

namespace {

Tensor index_tensor(const std::vector<std::int32_t>& values) {
    return torch::tensor(c10::ArrayRef<std::int32_t>(values), torch::kInt32).to(torch::kInt64);
}

data::Batch one_sequence(const std::vector<std::int32_t>& ids) {
    data::Batch batch;
    batch.ids = ids;
    batch.positions.resize(ids.size());
    std::iota(batch.positions.begin(), batch.positions.end(), 0);
    batch.starts = {0, static_cast<std::int32_t>(ids.size())};
    return batch;
}

}  // namespace

Tensor Linear::operator()(const Tensor& x, const DropoutKey& key) const {
    if (trained && trained->enabled) return at::linear(x.to(torch::kFloat32), trained->weight, trained->bias).to(x.scalar_type());
    return linear(x, weight, bias, branch.get(), key);
}

void KeyValueCache::reserve(const ModelConfig& config, std::int64_t capacity) {
    keys.resize(static_cast<std::size_t>(config.layers));
    values.resize(static_cast<std::size_t>(config.layers));
    for (auto* tensors : {&keys, &values})
        for (Tensor& tensor : *tensors) {
            const std::int64_t have = tensor.defined() ? tensor.size(0) : 0;
            if (have >= capacity) continue;
            Tensor larger = torch::empty({std::max(capacity, 2 * have), config.kv_heads, config.head_dim}, torch::kFloat32);
            if (length > 0) larger.narrow(0, 0, length).copy_(tensor.narrow(0, 0, length));
            tensor = larger;
        }
}

void ModelConfig::set_layers(std::int64_t window) {
    LayerConfig layer;
    layer.attention = {1 / std::sqrt(static_cast<double>(head_dim)), 0, window};
    per_layer.assign(static_cast<std::size_t>(layers), layer);
}

std::vector<Linear*> Block::linears(const ModelConfig& config) {
    std::vector<Linear*> used{&query};
    if (!config.fused_qkv) used.insert(used.end(), {&key, &value});
    used.push_back(&output);
    if (config.gated && !config.fused_gate_up) used.push_back(&gate);
    used.insert(used.end(), {&up, &down});
    return used;
}

Tensor Model::embed(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& at) const {
    for (std::int32_t id : ids)
        if (id < 0 || id >= config.vocabulary)
            throw input_error("model.token", "token " + std::to_string(id),
                              "token " + std::to_string(id) + " is outside the model's vocabulary of " +
                                  std::to_string(config.vocabulary),
                              "The tokenizer does not belong to this model.");
    Tensor x = embedding.gather(index_tensor(ids)).to(compute);
    if (config.embedding_scale != 1) x = x * config.embedding_scale;
    if (!positions.defined()) return x;
    if (const auto last = *std::max_element(at.begin(), at.end()); last >= positions.size(0))
        throw input_error("model.context", "position " + std::to_string(last),
                          "expected at most " + std::to_string(positions.size(0)) + " tokens, the model's positions, got " +
                              std::to_string(last + 1),
                          "Use shorter rows (data.max_length).");
    return x + positions.index_select(0, index_tensor(at)).to(compute);
}

std::vector<RopeTables> Model::tables(const std::vector<std::int32_t>& at, const std::vector<std::int32_t>& starts) const {
    std::vector<RopeTables> all;
    for (const RopeConfig& rope : config.ropes) all.push_back(rope_tables(rope, rope_divisors, at, starts));
    return all;
}

Tensor Model::normed(const Tensor& x, const Norm& norm) const {
    if (config.norm == ModelConfig::Norm::rms) return rms_norm(x, norm.weight, config.norm_eps, config.norm_offset);
    return at::layer_norm(x.to(torch::kFloat32), {x.size(-1)}, norm.weight, norm.bias, config.norm_eps).to(x.scalar_type());
}

Tensor Model::turned(const Tensor& x, std::size_t layer, const std::vector<RopeTables>& tables) const {
    if (tables.empty()) return x;
    const RopeTables& table = tables[config.per_layer[layer].rope];
    return rotate(x, table.cosine, table.sine);
}

Tensor Model::attend(const Block& block, const Tensor& x, const DropoutKey& key, const Attention& attention) const {
    const std::int64_t length = x.size(0), queries = config.query_width(), keys = config.kv_width();
    Tensor input = normed(x, block.attention_norm);
    Tensor q = block.query(input, key), k, v;
    if (config.fused_qkv) {
        k = q.narrow(1, queries, keys);
        v = q.narrow(1, queries + keys, keys);
        q = q.narrow(1, 0, queries);
    } else {
        k = block.key(input, key);
        v = block.value(input, key);
    }
    q = q.reshape({length, config.heads, config.head_dim});
    k = k.reshape({length, config.kv_heads, config.head_dim});
    if (config.query_key_norm) {
        q = normed(q, block.query_norm);
        k = normed(k, block.key_norm);
    }
    Tensor mixed = attention(q, k, v.reshape({length, config.kv_heads, config.head_dim}));
    Tensor y = block.output(mixed.reshape({length, queries}), key);
    return x + (config.post_norms ? normed(y, block.attention_post_norm) : y);
}

Tensor Model::feed_forward(const Block& block, const Tensor& x, const DropoutKey& key) const {
    Tensor input = normed(x, block.mlp_norm);
    Tensor up = block.up(input, key), active;
    if (!config.gated) active = activated(up, config.activation);
    else if (!config.fused_gate_up) active = gated(block.gate(input, key), up, config.activation);
    else active = gated(up.narrow(1, 0, config.intermediate), up.narrow(1, config.intermediate, config.intermediate), config.activation);
    Tensor y = block.down(active, key);
    return x + (config.post_norms ? normed(y, block.mlp_post_norm) : y);
}

Tensor Model::hidden(const data::Batch& batch, const DropoutKey& key, std::vector<Tensor>* received) const {
    memory::TagScope scope(MemoryTag::activations);
    Tensor x = embed(batch.ids, batch.positions);
    const auto angles = std::make_shared<const std::vector<RopeTables>>(tables(batch.positions, batch.starts));
    for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
        if (received != nullptr) received->push_back(x);
        // By value: a checkpointed block runs again during backward, when this call's locals are gone.
        auto run = [this, layer, angles, key, starts = batch.starts](const Tensor& input) {
            const Block& block = blocks[layer];
            Tensor attended = attend(block, input, key, [&](const Tensor& q, const Tensor& k, const Tensor& v) {
                return packed_attention(turned(q, layer, *angles), turned(k, layer, *angles), v, starts,
                                        config.per_layer[layer].attention);
            });
            return feed_forward(block, attended, key);
        };
        x = gradient_checkpointing && torch::GradMode::is_enabled() ? checkpoint(x, run) : run(x);
    }
    return x;
}

Tensor Model::loss_sum(const data::Batch& batch, const DropoutKey& key) const {
    std::vector<std::int64_t> rows, targets;
    for (std::size_t i = 0; i < batch.targets.size(); ++i) {
        if (batch.targets[i] == data::ignored_target) continue;
        if (batch.targets[i] < 0 || batch.targets[i] >= config.vocabulary)
            throw input_error("model.token", "token " + std::to_string(batch.targets[i]),
                              "a target token is outside the model's vocabulary of " + std::to_string(config.vocabulary));
        rows.push_back(static_cast<std::int64_t>(i));
        targets.push_back(batch.targets[i]);
    }
    Tensor states = hidden(batch, key);
    memory::TagScope scope(MemoryTag::activations);
    Tensor asked = normed(states.index_select(0, torch::tensor(rows, torch::kInt64)), final_norm);
    return head_loss(asked, head.weight, head.bias, torch::tensor(targets, torch::kInt64), head.branch.get(),
                     config.logit_softcap);
}

Tensor Model::head_logits(const Tensor& x) const {
    Tensor logits = head(normed(x, final_norm)).to(torch::kFloat32);
    return config.logit_softcap > 0 ? (logits / config.logit_softcap).tanh() * config.logit_softcap : logits;
}

Tensor Model::logits(const std::vector<std::int32_t>& ids) const {
    torch::NoGradGuard no_grad;
    return head_logits(hidden(one_sequence(ids)));
}

std::vector<Tensor> Model::hidden_states(const std::vector<std::int32_t>& ids) const {
    torch::NoGradGuard no_grad;
    std::vector<Tensor> states;
    Tensor last = hidden(one_sequence(ids), {}, &states);
    states.push_back(normed(last, final_norm));
    return states;
}

Tensor Model::next_logits(const std::vector<std::int32_t>& ids, KeyValueCache& cache) const {
    torch::NoGradGuard no_grad;
    memory::TagScope scope(MemoryTag::activations);
    const auto total = cache.length + static_cast<std::int64_t>(ids.size());
    // All that is in the cache follows from the angles it was computed with.
    const bool anew = cache.length > 0 && std::ranges::any_of(config.ropes, [&](const RopeConfig& rope) {
        return rope.changes(cache.length, total);
    });
    std::vector<std::int32_t> sequence = cache.ids;
    sequence.insert(sequence.end(), ids.begin(), ids.end());
    const std::int64_t past = anew ? 0 : cache.length, added = total - past;
    cache.reserve(config, total);
    if (anew) {  // an interrupted call leaves an empty cache
        cache.length = 0;
        cache.ids.clear();
    }
    std::vector<std::int32_t> at(static_cast<std::size_t>(added));
    std::iota(at.begin(), at.end(), static_cast<std::int32_t>(past));
    const auto angles = tables(at, {0, static_cast<std::int32_t>(added)});
    Tensor x = embed({sequence.end() - added, sequence.end()}, at);
    for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
        auto attention = [&](const Tensor& q, const Tensor& k, const Tensor& v) {
            cache.keys[layer].narrow(0, past, added).copy_(turned(k, layer, angles));
            cache.values[layer].narrow(0, past, added).copy_(v);
            return cached_attention(turned(q, layer, angles), cache.keys[layer].narrow(0, 0, total).to(q.scalar_type()),
                                    cache.values[layer].narrow(0, 0, total).to(q.scalar_type()),
                                    config.per_layer[layer].attention);
        };
        x = feed_forward(blocks[layer], attend(blocks[layer], x, {}, attention), {});
    }
    cache.length = total;  // last: an interrupted call leaves the cache as it was
    cache.ids = std::move(sequence);
    return head_logits(x.narrow(0, added - 1, 1)).squeeze(0);
}

void Model::for_each_linear(const std::function<void(Linear&)>& f) {
    for (Block& block : blocks)
        for (Linear* layer : block.linears(config)) f(*layer);
    f(head);
}

void Model::for_each_linear(const std::function<void(const Linear&)>& f) const {
    const_cast<Model*>(this)->for_each_linear([&](Linear& layer) { f(layer); });
}

std::vector<Tensor> Model::vectors() const {
    std::vector<Tensor> all;
    auto take = [&](const Norm& norm) {
        for (const Tensor& tensor : {norm.weight, norm.bias})
            if (tensor.defined()) all.push_back(tensor);
    };
    if (positions.defined()) all.push_back(positions);
    for (const Block& b : blocks)
        for (const Norm* norm : {&b.attention_norm, &b.mlp_norm, &b.attention_post_norm, &b.mlp_post_norm, &b.query_norm, &b.key_norm})
            take(*norm);
    take(final_norm);
    for_each_linear([&](const Linear& layer) { take({{}, layer.bias}); });
    return all;
}

std::int64_t Model::parameters() const {
    std::int64_t total = embedding.rows() * embedding.cols();
    for (const Tensor& tensor : vectors()) total += tensor.numel();
    for_each_linear([&](const Linear& layer) {
        if (&layer != &head || !config.tied_embeddings) total += layer.weight.rows() * layer.weight.cols();
    });
    return total;
}

std::int64_t Model::weight_bytes() const {
    std::int64_t total = embedding.bytes();
    for (const Tensor& tensor : vectors()) total += static_cast<std::int64_t>(tensor.nbytes());
    for_each_linear([&](const Linear& layer) {
        if (&layer != &head || !config.tied_embeddings) total += layer.weight.bytes();
    });
    return total;
}

}  // namespace qlora::nn
