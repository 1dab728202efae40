// Virtual tokens: what is trained in front of a row, as embeddings or as keys and values, while the model stays as it is.
#include <torch/torch.h>

#include <numeric>

#include "core/nn/model.h"

namespace qlora::nn {

using torch::Tensor;

namespace {

// Rows of a pack each behind `added` rows that all share: where they come from in the shared ones followed by the pack.
std::vector<std::int64_t> behind_shared(const std::vector<std::int32_t>& starts, std::int64_t added) {
    std::vector<std::int64_t> from;
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
        for (std::int64_t j = 0; j < added; ++j) from.push_back(j);
        for (std::int64_t j = starts[i]; j < starts[i + 1]; ++j) from.push_back(added + j);
    }
    return from;
}

std::vector<std::int32_t> moved(const std::vector<std::int32_t>& starts, std::int64_t added) {
    std::vector<std::int32_t> all;
    for (std::size_t i = 0; i < starts.size(); ++i) all.push_back(starts[i] + static_cast<std::int32_t>(added * static_cast<std::int64_t>(i)));
    return all;
}

}  // namespace

Model::Placed Model::placed(const std::vector<std::int32_t>& positions, const std::vector<std::int32_t>& starts,
                            const std::vector<std::int32_t>& types, bool prompted, bool prefixed) const {
    const std::int64_t in_prompt = prompted ? length(prompt) : 0, in_prefix = prefixed ? length(prefix) : 0;
    Placed placed{positions, starts, types, {}, {}, {}, starts};
    if (in_prompt > 0) {
        placed.prompted = behind_shared(starts, in_prompt);
        placed.starts = moved(starts, in_prompt);
        placed.positions.assign(placed.prompted.size(), 0);
        if (!types.empty()) placed.types.assign(placed.prompted.size(), 0);
        for (std::size_t i = 0; i < placed.prompted.size(); ++i) {
            const std::int64_t from = placed.prompted[i];
            const auto id = static_cast<std::size_t>(from - in_prompt);
            placed.positions[i] = static_cast<std::int32_t>(from < in_prompt ? from : positions[id] + in_prompt);
            if (from < in_prompt) continue;
            placed.own.push_back(static_cast<std::int64_t>(i));
            if (!types.empty()) placed.types[i] = types[id];
        }
        // A classifier that reads a row's first state reads the first virtual token's, as PEFT has it.
        if (config.head.kind == HeadConfig::Kind::classifier && config.head.pooling == HeadConfig::Pooling::first)
            for (std::size_t i = 0; i + 1 < starts.size(); ++i) placed.own[static_cast<std::size_t>(starts[i])] = placed.starts[i];
    }
    placed.key_starts = placed.starts;
    if (in_prefix > 0) {
        for (auto& position : placed.positions) position += static_cast<std::int32_t>(in_prefix);
        placed.keyed = behind_shared(placed.starts, in_prefix);
        placed.key_starts = moved(placed.starts, in_prefix);
    }
    return placed;
}

Tensor Model::without_virtual(const Tensor& x, const Placed& placed) const {
    return placed.prompted.empty() ? x : x.index_select(0, torch::tensor(placed.own, torch::kInt64).to(x.device()));
}

// Keys (part 0) or values (part 1) of a layer, each row's behind those of the prefix.
Tensor Model::with_prefix(const Tensor& x, std::size_t layer, std::int64_t part, const Tensor& keyed) const {
    if (!keyed.defined()) return x;
    const Tensor own = prefix->values.narrow(1, (2 * static_cast<std::int64_t>(layer) + part) * config.kv_width(), config.kv_width());
    return at::cat({in_heads(own, config.kv_heads).to(x.scalar_type()), x}).index_select(0, keyed);
}

// What a sequence begins with before its first token.
void Model::begin(KeyValueCache& cache) const {
    const std::int64_t n = length(prefix);
    if (n == 0 || cache.length > 0) return;
    cache.reserve(config, n, device());
    const Tensor parts = prefix->values.view({n, config.layers, 2, config.kv_heads, config.head_dim});
    for (std::size_t layer = 0; layer < cache.keys.size(); ++layer) {
        cache.keys[layer].narrow(0, 0, n).copy_(parts.select(1, static_cast<std::int64_t>(layer)).select(1, 0));
        cache.values[layer].narrow(0, 0, n).copy_(parts.select(1, static_cast<std::int64_t>(layer)).select(1, 1));
    }
    cache.length = n;
}

}  // namespace qlora::nn
