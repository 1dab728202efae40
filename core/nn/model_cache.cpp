// Decoding token by token with a cache of keys and values.
#include <torch/torch.h>

#include <algorithm>
#include <numeric>

#include "core/memory/meters.h"
#include "core/nn/model.h"

namespace qlora::nn {

using torch::Tensor;

void KeyValueCache::reserve(const ModelConfig& config, std::int64_t capacity, torch::Device device) {
    keys.resize(static_cast<std::size_t>(config.layers));
    values.resize(static_cast<std::size_t>(config.layers));
    for (auto* tensors : {&keys, &values})
        for (Tensor& tensor : *tensors) {
            const std::int64_t have = tensor.defined() ? tensor.size(0) : 0;
            if (have >= capacity) continue;
            Tensor larger = torch::empty({std::max(capacity, 2 * have), config.kv_heads, config.head_dim}, torch::TensorOptions(device).dtype(torch::kFloat32));
            if (length > 0) larger.narrow(0, 0, length).copy_(tensor.narrow(0, 0, length));
            tensor = larger;
        }
}

void Model::read_source(const std::vector<std::int32_t>& source, KeyValueCache& cache) const {
    torch::NoGradGuard no_grad;
    memory::TagScope scope(MemoryTag::activations);
    data::Batch batch;
    batch.ids = source;
    batch.positions.resize(source.size());
    std::iota(batch.positions.begin(), batch.positions.end(), 0);
    batch.starts = {0, static_cast<std::int32_t>(source.size())};
    const Tensor states = encoded(batch, placed(batch.positions, batch.starts, {}, true, false), {}, nullptr);
    cache.cross_keys.clear();
    cache.cross_values.clear();
    for (const Block& block : stack.blocks) {
        cache.cross_keys.push_back(in_heads(block.cross_key(states, {}, arithmetic), config.kv_heads));
        cache.cross_values.push_back(in_heads(block.cross_value(states, {}, arithmetic), config.kv_heads));
    }
}

Tensor Model::next_logits(const std::vector<std::int32_t>& ids, KeyValueCache& cache) const {
    torch::NoGradGuard no_grad;
    memory::TagScope scope(MemoryTag::activations);
    begin(cache);
    const bool first = cache.ids.empty();
    const std::int64_t prompted = config.encoder_decoder() ? 0 : length(prompt);
    const auto total = cache.length + static_cast<std::int64_t>(ids.size()) + (first ? prompted : 0);
    // All that is in the cache follows from the angles it was computed with.
    const bool anew = cache.length > 0 && std::ranges::any_of(config.ropes, [&](const RopeConfig& rope) {
        return rope.changes(cache.length, total);
    });
    std::vector<std::int32_t> sequence = cache.ids;
    sequence.insert(sequence.end(), ids.begin(), ids.end());
    const std::int64_t past = anew ? length(prefix) : cache.length, added = total - past;
    cache.reserve(config, total, device());
    if (anew) {  // an interrupted call leaves a cache of virtual tokens alone
        cache.length = past;
        cache.ids.clear();
    }
    const bool whole = first || anew;
    const std::int64_t own = added - (whole ? prompted : 0);
    std::vector<std::int32_t> at(static_cast<std::size_t>(own));
    std::iota(at.begin(), at.end(), static_cast<std::int32_t>(whole ? 0 : past));
    const Placed where = placed(at, {0, static_cast<std::int32_t>(own)}, {}, whole && prompted > 0, whole);
    const auto angles = tables(where.positions, where.starts);
    const auto relative = bias(stack, true);
    Tensor x = embed({sequence.end() - own, sequence.end()}, where);
    for (std::size_t layer = 0; layer < stack.blocks.size(); ++layer) {
        const Block& block = stack.blocks[layer];
        const AttentionRule& rule = config.per_layer[layer].attention;
        x = attend(block, x, {}, [&](const Tensor& q, const Tensor& k, const Tensor& v) {
            cache.keys[layer].narrow(0, past, added).copy_(turned(k, layer, angles));
            cache.values[layer].narrow(0, past, added).copy_(v);
            return Attended{cached_attention(turned(q, layer, angles), cache.keys[layer].narrow(0, 0, total).to(q.scalar_type()),
                                             cache.values[layer].narrow(0, 0, total).to(q.scalar_type()), rule, relative.get()), {}};
        });
        if (!cache.cross_keys.empty())
            x = attend_across(block, x, {}, [&](const Tensor& q) {
                return Attended{cached_attention(q, cache.cross_keys[layer], cache.cross_values[layer], {rule.scale, 0, 0, false}), {}};
            });
        x = feed_forward(block, x, {});
    }
    cache.length = total;  // last: an interrupted call leaves the cache as it was
    cache.ids = std::move(sequence);
    return head_logits(x.narrow(0, added - 1, 1)).squeeze(0);
}

}  // namespace qlora::nn
