// The way through the blocks of a packed batch. What stands behind them: model_head.cpp; one token at a time:
// model_cache.cpp.
#include "core/nn/model.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/memory/meters.h"
#include "core/nn/functions/checkpoint.h"

namespace qlora::nn {

using torch::Tensor;

namespace {

// The base's streams of dropout begin behind those of adapters.
constexpr std::uint64_t base_streams = std::uint64_t{1} << 31;

Tensor index_tensor(const std::vector<std::int32_t>& values, torch::Device device) {
    return torch::tensor(c10::ArrayRef<std::int32_t>(values), torch::kInt32).to(torch::kInt64).to(device);
}

// What the decoder reads: each answer behind the start token, without its last.
std::vector<std::int32_t> shifted_right(const data::Batch& batch, const ModelConfig& config) {
    std::vector<std::int32_t> ids(batch.targets.size());
    for (std::size_t i = 1; i < ids.size(); ++i)
        ids[i] = batch.targets[i - 1] == data::ignored_target ? config.decoder_pad : batch.targets[i - 1];
    for (std::size_t i = 0; i + 1 < batch.answer_starts.size(); ++i)
        ids[static_cast<std::size_t>(batch.answer_starts[i])] = config.decoder_start;
    return ids;
}

std::vector<std::int32_t> counted(const std::vector<std::int32_t>& starts) {
    std::vector<std::int32_t> positions(static_cast<std::size_t>(starts.back()));
    for (std::size_t i = 0; i + 1 < starts.size(); ++i)
        std::iota(positions.begin() + starts[i], positions.begin() + starts[i + 1], 0);
    return positions;
}

}  // namespace

void ModelConfig::set_layers(std::int64_t window) {
    LayerConfig layer;
    layer.attention = {1 / std::sqrt(static_cast<double>(head_dim)), 0, window, causal};
    per_layer.assign(static_cast<std::size_t>(layers), layer);
}

std::vector<Tensor> read(const Source& source, std::initializer_list<const Linear*> layers, const DropoutKey& key) {
    std::vector<FrozenLinear> group;
    for (const Linear* layer : layers) {
        const LowRank* branch = layer->branch && layer->branch->enabled ? layer->branch.get() : nullptr;
        if ((layer->trained && layer->trained->enabled) || (branch != nullptr && branch->magnitude.defined())) {  // on their own
            const Tensor x = differentiable(source);
            std::vector<Tensor> results;
            for (const Linear* each : layers) results.push_back((*each)(x, key, source.arithmetic));
            return results;
        }
        group.push_back({&layer->weight, layer->bias, branch});
    }
    return linears(source, group, key);
}

Tensor Linear::operator()(const Tensor& x, const DropoutKey& key, Arithmetic arithmetic) const {
    if (trained && trained->enabled) return at::linear(x.to(torch::kFloat32), trained->weight, trained->bias).to(x.scalar_type());
    return linear(x, weight, bias, branch.get(), key, arithmetic);
}

std::vector<Linear*> Block::linears() {
    std::vector<Linear*> used;
    for (Linear* layer : {&query, &key, &value, &output, &cross_query, &cross_key, &cross_value, &cross_output, &gate, &up, &down})
        if (layer->defined()) used.push_back(layer);
    return used;
}

Tensor Model::base_dropped(const Tensor& x, double p, const DropoutKey& key, DropoutSite site) const {
    return base_dropout ? dropped(x, p, key, base_streams + 16 * key.block + static_cast<std::uint64_t>(site)) : x;
}

// Uniform in +-alpha / sqrt(length of the segment * width).
Tensor Model::noised(const Tensor& x, const std::vector<std::int32_t>& starts, const DropoutKey& key) const {
    if (neftune_alpha == 0 || !key.training) return x;
    Tensor noise = torch::empty(x.sizes(), torch::kFloat32);
    float* out = noise.data_ptr<float>();
    const auto word = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
        const auto numbers = static_cast<double>(starts[i + 1] - starts[i]) * static_cast<double>(x.size(1));
        const auto most = static_cast<float>(neftune_alpha / std::sqrt(numbers));
        std::array<std::uint32_t, 4> drawn{};
        for (std::int64_t j = starts[i] * x.size(1), n = 0; j < starts[i + 1] * x.size(1); ++j, ++n) {
            if (n % 4 == 0) drawn = philox({word(static_cast<std::uint64_t>(n / 4)), word(i), word(key.step), word(key.step >> 32)},
                                           {word(key.seed), word(key.seed >> 32) ^ 0x2EF7u});
            out[j] = (2 * static_cast<float>(drawn[static_cast<std::size_t>(n % 4)]) * 0x1p-32f - 1) * most;
        }
    }
    return x + noise.to(x.device(), x.scalar_type());
}

AttentionDropout Model::attention_dropout(const DropoutKey& key, DropoutSite site) const {
    if (!base_dropout) return {};
    return {config.dropout.attention, key, base_streams + 16 * key.block + static_cast<std::uint64_t>(site)};
}

Tensor Model::embed(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& types,
                    const std::vector<std::int32_t>& at) const {
    for (std::int32_t id : ids)
        if (id < 0 || id >= config.vocabulary)
            throw input_error("model.token", "token " + std::to_string(id),
                              "token " + std::to_string(id) + " is outside the model's vocabulary of " +
                                  std::to_string(config.vocabulary),
                              "The tokenizer does not belong to this model.");
    const bool trained = trained_embedding && trained_embedding->enabled;
    const Tensor index = index_tensor(ids, device());
    Tensor x = trained ? at::embedding(trained_embedding->weight, index) : embedding.gather(index);
    if (config.embedding_scale != 1) x = x * config.embedding_scale;
    if (config.positions > 0) {
        const std::int64_t room = config.positions - config.position_offset;
        if (const auto last = *std::max_element(at.begin(), at.end()); last >= room)
            throw input_error("model.context", "position " + std::to_string(last),
                              "expected at most " + std::to_string(room) + " tokens, the model's positions, got " + std::to_string(last + 1),
                              "Use shorter rows (data.max_length).");
        x = x + positions.index_select(0, index_tensor(at, device()) + config.position_offset);
    }
    if (config.token_types > 0) {
        for (std::int32_t type : types)
            if (type < 0 || type >= config.token_types)
                throw input_error("model.token_type", "token type " + std::to_string(type),
                                  "expected a token type below " + std::to_string(config.token_types) + ", got " + std::to_string(type));
        x = x + (types.empty() ? token_types[0] : token_types.index_select(0, index_tensor(types, device())));
    }
    return config.embedding_norm ? normed(x, embedding_norm) : x;
}

std::vector<RopeTables> Model::tables(const std::vector<std::int32_t>& at, const std::vector<std::int32_t>& starts) const {
    std::vector<RopeTables> all;
    for (const RopeConfig& rope : config.ropes) {
        const RopeTables made = rope_tables(rope, rope_divisors, at, starts);
        all.push_back({made.cosine.to(device()), made.sine.to(device())});
    }
    return all;
}

std::shared_ptr<RelativeBias> Model::bias(const Stack& of, bool causal) const {
    if (!of.relative_bias.defined()) return nullptr;
    return std::make_shared<RelativeBias>(of.relative_bias, causal, config.relative_distance);
}

Source Model::norm_of(const Tensor& x, const Norm& norm) const {
    if (!norm.weight.defined()) return plain(x, arithmetic);
    const bool centred = config.norm == ModelConfig::Norm::layer;
    return {.kind = Source::Kind::norm, .x = x,
            .norm = {centred || config.norm_offset == 0 ? norm.weight : norm.weight + config.norm_offset, norm.bias, config.norm_eps, centred}, .arithmetic = arithmetic};
}

Tensor Model::normed(const Tensor& x, const Norm& norm) const { return differentiable(norm_of(x, norm)); }

// The residual sum behind a part of a block.
Tensor Model::summed(const Tensor& x, const Tensor& y, const Norm& norm, const Norm& post) const {
    return config.norm_first ? x + normed(y, post) : normed(x + y, norm);
}

Tensor Model::turned(const Tensor& x, std::size_t layer, const std::vector<RopeTables>& tables) const {
    if (tables.empty()) return x;
    const RopeTables& table = tables[config.per_layer[layer].rope];
    return rotate(x, table.cosine, table.sine);
}

Tensor Model::output(const Linear& layer, const Attended& attended, const DropoutKey& key) const {
    const auto flat = [this](const Tensor& x) { return x.defined() ? x.reshape({x.size(0), config.query_width()}) : x; };
    Source source = plain(flat(attended.first), arithmetic);
    source.held = flat(attended.second);
    return read(source, {&layer}, key)[0];
}

Tensor Model::attend(const Block& block, const Tensor& x, const DropoutKey& key, const Attention& attention) const {
    const std::int64_t queries = config.query_width(), keys = config.kv_width();
    const Source input = config.norm_first ? norm_of(x, block.attention_norm) : plain(x, arithmetic);
    Tensor q, k, v;
    if (config.fused_qkv) {
        const Tensor all = read(input, {&block.query}, key)[0];
        q = all.narrow(1, 0, queries);
        k = all.narrow(1, queries, keys);
        v = all.narrow(1, queries + keys, keys);
    } else {
        const auto all = read(input, {&block.query, &block.key, &block.value}, key);
        std::tie(q, k, v) = std::tie(all[0], all[1], all[2]);
    }
    q = in_heads(q, config.heads);
    k = in_heads(k, config.kv_heads);
    if (config.query_key_norm) {
        q = normed(q, block.query_norm);
        k = normed(k, block.key_norm);
    }
    Tensor y = output(block.output, attention(q, k, in_heads(v, config.kv_heads)), key);
    y = base_dropped(y, config.dropout.attention_output, key, DropoutSite::attention_output);
    return summed(x, y, block.attention_norm, block.attention_post_norm);
}

Tensor Model::attend_across(const Block& block, const Tensor& x, const DropoutKey& key, const CrossAttention& attention) const {
    const Source input = config.norm_first ? norm_of(x, block.cross_norm) : plain(x, arithmetic);
    Tensor y = output(block.cross_output, attention(in_heads(read(input, {&block.cross_query}, key)[0], config.heads)), key);
    y = base_dropped(y, config.dropout.attention_output, key, DropoutSite::cross_output);
    return summed(x, y, block.cross_norm, {});
}

Tensor Model::feed_forward(const Block& block, const Tensor& x, const DropoutKey& key) const {
    const Source input = config.norm_first ? norm_of(x, block.mlp_norm) : plain(x, arithmetic);
    Source active{.activation = config.activation, .arithmetic = arithmetic};
    if (config.gated && !config.fused_gate_up) {
        const auto both = read(input, {&block.gate, &block.up}, key);
        std::tie(active.x, active.up) = std::tie(both[0], both[1]);
    } else {
        active.x = read(input, {&block.up}, key)[0];
    }
    active.kind = config.gated ? Source::Kind::gate : Source::Kind::activation;
    if (base_dropout && key.training && config.dropout.mlp_inner > 0)
        active = plain(base_dropped(differentiable(active), config.dropout.mlp_inner, key, DropoutSite::mlp_inner), arithmetic);
    const Tensor y = base_dropped(read(active, {&block.down}, key)[0], config.dropout.mlp_output, key, DropoutSite::mlp_output);
    return summed(x, y, block.mlp_norm, block.mlp_post_norm);
}

Tensor Model::through(const Stack& of, Tensor x, const std::vector<std::int32_t>& at, const std::vector<std::int32_t>& starts,
                      const Tensor& memory, const std::vector<std::int32_t>& memory_starts, const DropoutKey& given,
                      std::vector<Tensor>* received) const {
    const bool encodes = &of == &encoder;
    DropoutKey key = given;
    key.block = encodes ? 0 : encoder.blocks.size();
    x = base_dropped(x, config.dropout.embedding, key, DropoutSite::embedding);
    const auto angles = std::make_shared<const std::vector<RopeTables>>(tables(at, starts));
    const auto relative = bias(of, !encodes && config.causal);
    for (std::size_t layer = 0; layer < of.blocks.size(); ++layer, ++key.block) {
        if (received != nullptr) received->push_back(x);
        AttentionRule rule = config.per_layer[encodes ? 0 : layer].attention;
        rule.causal = rule.causal && !encodes;
        rule.arithmetic = arithmetic;
        rule.dropout = attention_dropout(key, DropoutSite::attention);
        // By value: a checkpointed block runs again during backward, when this call's locals are gone.
        auto run = [this, &block = of.blocks[layer], layer, rule, angles, relative, key, starts, memory_starts](const Tensor& input,
                                                                                                               const Tensor& source) {
            Tensor attended = attend(block, input, key, [&](const Tensor& q, const Tensor& k, const Tensor& v) {
                return packed_attention(turned(q, layer, *angles), turned(k, layer, *angles), v, starts, rule, relative);
            });
            if (source.defined())
                attended = attend_across(block, attended, key, [&](const Tensor& q) {
                    return cross_attention(q, in_heads(block.cross_key(source, key, arithmetic), config.kv_heads),
                                           in_heads(block.cross_value(source, key, arithmetic), config.kv_heads), starts, memory_starts,
                                           {rule.scale, 0, 0, false, arithmetic, attention_dropout(key, DropoutSite::cross_attention)});
                });
            return feed_forward(block, attended, key);
        };
        x = gradient_checkpointing && torch::GradMode::is_enabled() ? checkpoint(x, memory, run) : run(x, memory);
    }
    return x;
}

Tensor Model::encoded(const data::Batch& batch, const DropoutKey& key, std::vector<Tensor>* received) const {
    Tensor x = through(encoder, embed(batch.ids, batch.types, batch.positions), batch.positions, batch.starts, {}, {}, key, received);
    x = base_dropped(normed(x, encoder.final_norm), config.dropout.final_norm, key, DropoutSite::final_norm);
    if (received != nullptr) received->push_back(x);
    return x;
}

Tensor Model::hidden(const data::Batch& batch, const DropoutKey& key, States* states) const {
    memory::TagScope scope(MemoryTag::activations);
    auto* received = states == nullptr ? nullptr : &states->stack;
    if (!config.encoder_decoder())
        return through(stack, noised(embed(batch.ids, batch.types, batch.positions), batch.starts, key), batch.positions, batch.starts, {}, {}, key, received);
    const Tensor source = encoded(batch, key, states == nullptr ? nullptr : &states->encoder);
    const auto at = counted(batch.answer_starts);
    return through(stack, embed(shifted_right(batch, config), {}, at), at, batch.answer_starts, source, batch.starts, key, received);
}

void Model::for_each_linear(const std::function<void(Linear&)>& f) {
    for (Stack* of : {&encoder, &stack})
        for (Block& block : of->blocks)
            for (Linear* layer : block.linears()) f(*layer);
    for (Linear* layer : {&head_dense, &head})
        if (layer->defined()) f(*layer);
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
    take({positions, token_types});
    take(embedding_norm);
    for (const Stack* of : {&encoder, &stack}) {
        for (const Block& b : of->blocks)
            for (const Norm* norm : {&b.attention_norm, &b.cross_norm, &b.mlp_norm, &b.attention_post_norm, &b.mlp_post_norm, &b.query_norm, &b.key_norm})
                take(*norm);
        take(of->final_norm);
        take({of->relative_bias, {}});
    }
    for_each_linear([&](const Linear& layer) { take({layer.bias, {}}); });
    return all;
}

std::int64_t Model::parameters() const {
    std::int64_t total = embedding.rows() * embedding.cols();
    for (const Tensor& tensor : vectors()) total += tensor.numel();
    for_each_linear([&](const Linear& layer) {
        if (&layer != &head || !config.head_is_embedding()) total += layer.weight.rows() * layer.weight.cols();
    });
    return total;
}

std::int64_t Model::weight_bytes() const {
    std::int64_t total = embedding.bytes();
    for (const Tensor& tensor : vectors()) total += static_cast<std::int64_t>(tensor.nbytes());
    for_each_linear([&](const Linear& layer) {
        if (&layer != &head || !config.head_is_embedding()) total += layer.weight.bytes();
    });
    return total;
}

}  // namespace qlora::nn
