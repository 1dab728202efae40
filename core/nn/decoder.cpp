#include "core/nn/decoder.h"

#include <torch/torch.h>

#include <cmath>

#include "core/base/error.h"
#include "core/memory/meters.h"
#include "core/nn/functions/attention.h"
#include "core/nn/functions/checkpoint.h"
#include "core/nn/functions/head.h"

namespace qlora::nn {

using torch::Tensor;

namespace {

Tensor index_tensor(const std::vector<std::int32_t>& values) {
    return torch::tensor(c10::ArrayRef<std::int32_t>(values), torch::kInt32).to(torch::kInt64);
}

}  // namespace

void KeyValueCache::reserve(const DecoderConfig& config, std::int64_t capacity) {
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

Tensor Decoder::embed(const std::vector<std::int32_t>& ids) const {
    for (std::int32_t id : ids)
        if (id < 0 || id >= config.vocabulary)
            throw input_error("model.token", "token " + std::to_string(id),
                              "token " + std::to_string(id) + " is outside the model's vocabulary of " +
                                  std::to_string(config.vocabulary),
                              "The tokenizer does not belong to this model.");
    return embedding.gather(index_tensor(ids)).to(compute);
}

Tensor Decoder::attend(const Block& block, const Tensor& x, const Tensor& cosine, const Tensor& sine,
                       const DropoutKey& key, const std::function<Tensor(Tensor, Tensor, Tensor)>& attention) const {
    const std::int64_t length = x.size(0);
    Tensor input = rms_norm(x, block.attention_norm, config.norm_eps);
    Tensor q = block.query(input, key).view({length, config.heads, config.head_dim});
    Tensor k = block.key(input, key).view({length, config.kv_heads, config.head_dim});
    Tensor v = block.value(input, key).view({length, config.kv_heads, config.head_dim});
    Tensor mixed = attention(rotate(q, cosine, sine), rotate(k, cosine, sine), v);
    return x + block.output(mixed.reshape({length, config.heads * config.head_dim}), key);
}

Tensor Decoder::feed_forward(const Block& block, const Tensor& x, const DropoutKey& key) const {
    Tensor input = rms_norm(x, block.mlp_norm, config.norm_eps);
    return x + block.down(gated(block.gate(input, key), block.up(input, key), config.activation), key);
}

Tensor Decoder::hidden(const data::Batch& batch, const DropoutKey& key) const {
    memory::TagScope scope(MemoryTag::activations);
    const double scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
    auto [cosine, sine] = rope_tables(frequencies, index_tensor(batch.positions));
    auto attention = [&](const Tensor& q, const Tensor& k, const Tensor& v) {
        return packed_attention(q, k, v, batch.starts, scale);
    };
    Tensor x = embed(batch.ids);
    for (const Block& block : blocks) {
        // By value: a checkpointed block runs again during backward, when this call's locals are gone.
        auto run = [this, &block, cosine = cosine, sine = sine, key, starts = batch.starts, scale](const Tensor& input) {
            Tensor attended = attend(block, input, cosine, sine, key, [&](const Tensor& q, const Tensor& k, const Tensor& v) {
                return packed_attention(q, k, v, starts, scale);
            });
            return feed_forward(block, attended, key);
        };
        if (gradient_checkpointing && torch::GradMode::is_enabled()) {
            x = checkpoint(x, run);
        } else {
            x = feed_forward(block, attend(block, x, cosine, sine, key, attention), key);
        }
    }
    return x;
}

Tensor Decoder::loss_sum(const data::Batch& batch, const DropoutKey& key) const {
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
    Tensor asked = rms_norm(states.index_select(0, torch::tensor(rows, torch::kInt64)), final_norm, config.norm_eps);
    return head_loss(asked, head.weight, head.bias, torch::tensor(targets, torch::kInt64), head.branch.get());
}

Tensor Decoder::head_logits(const Tensor& x) const {
    return head(rms_norm(x, final_norm, config.norm_eps)).to(torch::kFloat32);
}

Tensor Decoder::logits(const std::vector<std::int32_t>& ids) const {
    torch::NoGradGuard no_grad;
    data::Batch batch;
    batch.ids = ids;
    batch.positions.resize(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) batch.positions[i] = static_cast<std::int32_t>(i);
    batch.starts = {0, static_cast<std::int32_t>(ids.size())};
    return head_logits(hidden(batch));
}

Tensor Decoder::next_logits(const std::vector<std::int32_t>& ids, KeyValueCache& cache) const {
    torch::NoGradGuard no_grad;
    memory::TagScope scope(MemoryTag::activations);
    const auto added = static_cast<std::int64_t>(ids.size());
    const std::int64_t past = cache.length, total = past + added;
    cache.reserve(config, total);
    auto [cosine, sine] = rope_tables(frequencies, torch::arange(past, total, torch::kInt64));
    const double scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
    Tensor x = embed(ids);
    for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
        auto attention = [&](const Tensor& q, const Tensor& k, const Tensor& v) {
            cache.keys[layer].narrow(0, past, added).copy_(k);
            cache.values[layer].narrow(0, past, added).copy_(v);
            return cached_attention(q, cache.keys[layer].narrow(0, 0, total).to(q.scalar_type()),
                                    cache.values[layer].narrow(0, 0, total).to(q.scalar_type()), scale);
        };
        x = feed_forward(blocks[layer], attend(blocks[layer], x, cosine, sine, {}, attention), {});
    }
    cache.length = total;  // last: an interrupted call leaves the cache as it was
    return head_logits(x.narrow(0, added - 1, 1)).squeeze(0);
}

void Decoder::for_each_linear(const std::function<void(Linear&)>& f) {
    for (Block& b : blocks)
        for (Linear* layer : {&b.query, &b.key, &b.value, &b.output, &b.gate, &b.up, &b.down}) f(*layer);
    f(head);
}

void Decoder::for_each_linear(const std::function<void(const Linear&)>& f) const {
    const_cast<Decoder*>(this)->for_each_linear([&](Linear& layer) { f(layer); });
}

std::int64_t Decoder::parameters() const {
    std::int64_t total = embedding.rows() * embedding.cols() + final_norm.numel();
    for (const Block& block : blocks) total += block.attention_norm.numel() + block.mlp_norm.numel();
    for_each_linear([&](const Linear& layer) {
        if (&layer != &head || !config.tied_embeddings) total += layer.weight.rows() * layer.weight.cols();
        if (layer.bias.defined()) total += layer.bias.numel();
    });
    return total;
}

std::int64_t Decoder::weight_bytes() const {
    std::int64_t total = embedding.bytes() + static_cast<std::int64_t>(final_norm.nbytes());
    for (const Block& block : blocks)
        total += static_cast<std::int64_t>(block.attention_norm.nbytes() + block.mlp_norm.nbytes());
    for_each_linear([&](const Linear& layer) {
        if (&layer != &head || !config.tied_embeddings) total += layer.weight.bytes();
        if (layer.bias.defined()) total += static_cast<std::int64_t>(layer.bias.nbytes());
    });
    return total;
}

}  // namespace qlora::nn
