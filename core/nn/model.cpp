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
    std::vector<LinearParts> group;
    for (const Linear* layer : layers) {
        const LinearParts parts = layer->parts();
        if (parts.branch != nullptr && parts.branch->magnitude.defined()) {  // on their own
            const Tensor x = differentiable(source);
            std::vector<Tensor> results;
            for (const Linear* each : layers) results.push_back((*each)(x, key, source.arithmetic));
            return results;
        }
        group.push_back(parts);
    }
    return linears(source, group, key);
}

LinearParts Linear::parts() const {
    return {&weight, bias.now(), branch && branch->enabled ? branch.get() : nullptr, trained && trained->enabled ? trained.get() : nullptr,
            quantizer && quantizer->enabled ? quantizer.get() : nullptr};
}

Tensor Linear::operator()(const Tensor& x, const DropoutKey& key, Arithmetic arithmetic) const { return linear(x, parts(), key, arithmetic); }

std::vector<Linear*> Block::linears() {
    std::vector<Linear*> used;
    for (Linear* layer : {&query, &key, &value, &output, &cross_query, &cross_key, &cross_value, &cross_output, &gate, &up, &down})
        if (layer->defined()) used.push_back(layer);
    return used;
}

std::vector<Norm*> Block::norms() {
    std::vector<Norm*> used;
    for (Norm* norm : {&attention_norm, &cross_norm, &mlp_norm, &attention_post_norm, &mlp_post_norm, &query_norm, &key_norm})
        if (norm->defined()) used.push_back(norm);
    return used;
}

Tensor Bottleneck::operator()(const Tensor& x) const { return at::linear(at::linear(x.to(torch::kFloat32), down, down_bias).relu(), up, up_bias); }

namespace {

// What a part of a block gives, with its bottleneck adapter.
Tensor adapted(const Tensor& y, const std::shared_ptr<Bottleneck>& adapter, const Source& read) {
    if (!adapter || !adapter->enabled) return y;
    return y + (*adapter)(adapter->parallel ? differentiable(read) : y).to(y.scalar_type());
}

}  // namespace

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

Tensor Model::embed(const std::vector<std::int32_t>& ids, const Placed& placed) const {
    const std::vector<std::int32_t> &at = placed.positions, &types = placed.types;
    for (std::int32_t id : ids)
        if (id < 0 || id >= config.vocabulary)
            throw input_error("model.token", "token " + std::to_string(id),
                              "token " + std::to_string(id) + " is outside the model's vocabulary of " +
                                  std::to_string(config.vocabulary),
                              "The tokenizer does not belong to this model.");
    const bool trained = trained_embedding && trained_embedding->enabled;
    const Tensor index = index_tensor(ids, device());
    Tensor x = trained ? at::embedding(trained_embedding->values, index) : embedding.gather(index);
    if (config.embedding_scale != 1) x = x * config.embedding_scale;
    if (!placed.prompted.empty()) x = at::cat({prompt->values, x}).index_select(0, torch::tensor(placed.prompted, torch::kInt64).to(device()));
    if (config.positions > 0) {
        const std::int64_t room = config.positions - config.position_offset;
        if (const auto last = *std::max_element(at.begin(), at.end()); last >= room)
            throw input_error("model.context", "position " + std::to_string(last),
                              "expected at most " + std::to_string(room) + " tokens, the model's positions, got " + std::to_string(last + 1),
                              "Use shorter rows (data.max_length).");
        x = x + positions.now().index_select(0, index_tensor(at, device()) + config.position_offset);
    }
    if (config.token_types > 0) {
        for (std::int32_t type : types)
            if (type < 0 || type >= config.token_types)
                throw input_error("model.token_type", "token type " + std::to_string(type),
                                  "expected a token type below " + std::to_string(config.token_types) + ", got " + std::to_string(type));
        x = x + (types.empty() ? token_types.now()[0] : token_types.now().index_select(0, index_tensor(types, device())));
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
    return std::make_shared<RelativeBias>(of.relative_bias.now(), causal, config.relative_distance);
}

Source Model::norm_of(const Tensor& x, const Norm& norm) const {
    if (!norm.defined()) return plain(x, arithmetic);
    const bool centred = config.norm == ModelConfig::Norm::layer;
    const Tensor& weight = norm.weight.now();
    return {.kind = Source::Kind::norm, .x = x,
            .norm = {centred || config.norm_offset == 0 ? weight : weight + config.norm_offset, norm.bias.now(), config.norm_eps, centred}, .arithmetic = arithmetic};
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
    return summed(x, adapted(y, block.attention_adapter, input), block.attention_norm, block.attention_post_norm);
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
    return summed(x, adapted(y, block.mlp_adapter, input), block.mlp_norm, block.mlp_post_norm);
}

Tensor Model::through(const Stack& of, Tensor x, const Placed& placed, const Tensor& memory,
                      const std::vector<std::int32_t>& memory_starts, const DropoutKey& given, std::vector<Tensor>* received) const {
    const bool encodes = &of == &encoder;
    DropoutKey key = given;
    key.block = encodes ? 0 : encoder.blocks.size();
    x = base_dropped(x, config.dropout.embedding, key, DropoutSite::embedding);
    const auto angles = std::make_shared<const std::vector<RopeTables>>(tables(placed.positions, placed.starts));
    const Tensor keyed = placed.keyed.empty() ? Tensor() : torch::tensor(placed.keyed, torch::kInt64).to(device());
    const auto relative = bias(of, !encodes && config.causal);
    for (std::size_t layer = 0; layer < of.blocks.size(); ++layer, ++key.block) {
        if (received != nullptr) received->push_back(x);
        AttentionRule rule = config.per_layer[encodes ? 0 : layer].attention;
        rule.causal = rule.causal && !encodes;
        rule.arithmetic = arithmetic;
        rule.dropout = attention_dropout(key, DropoutSite::attention);
        // By value: a checkpointed block runs again during backward, when this call's locals are gone.
        auto run = [this, &block = of.blocks[layer], layer, rule, angles, relative, key, starts = placed.starts, key_starts = placed.key_starts,
                    keyed, memory_starts](const Tensor& input, const Tensor& source) {
            Tensor attended = attend(block, input, key, [&](const Tensor& q, const Tensor& k, const Tensor& v) {
                return packed_attention(turned(q, layer, *angles), with_prefix(turned(k, layer, *angles), layer, 0, keyed),
                                        with_prefix(v, layer, 1, keyed), starts, key_starts, rule, relative);
            });
            if (source.defined())
                attended = attend_across(block, attended, key, [&](const Tensor& q) {
                    return packed_attention(q, in_heads(block.cross_key(source, key, arithmetic), config.kv_heads),
                                           in_heads(block.cross_value(source, key, arithmetic), config.kv_heads), starts, memory_starts,
                                           {rule.scale, 0, 0, false, arithmetic, attention_dropout(key, DropoutSite::cross_attention)});
                });
            return feed_forward(block, attended, key);
        };
        x = gradient_checkpointing && torch::GradMode::is_enabled() ? checkpoint(x, memory, run) : run(x, memory);
    }
    return x;
}

Tensor Model::encoded(const data::Batch& batch, const Placed& where, const DropoutKey& key, std::vector<Tensor>* received) const {
    Tensor x = through(encoder, embed(batch.ids, where), where, {}, {}, key, received);
    x = base_dropped(normed(x, encoder.final_norm), config.dropout.final_norm, key, DropoutSite::final_norm);
    if (received != nullptr) received->push_back(x);
    return x;
}

Tensor Model::hidden(const data::Batch& batch, const DropoutKey& key, States* states) const {
    memory::TagScope scope(MemoryTag::activations);
    auto* received = states == nullptr ? nullptr : &states->stack;
    const Placed where = placed(batch.positions, batch.starts, batch.types, true, true);
    if (!config.encoder_decoder())
        return without_virtual(through(stack, noised(embed(batch.ids, where), where.starts, key), where, {}, {}, key, received), where);
    const Tensor source = encoded(batch, where, key, states == nullptr ? nullptr : &states->encoder);
    const Placed answers = placed(counted(batch.answer_starts), batch.answer_starts, {}, false, false);
    return through(stack, embed(shifted_right(batch, config), answers), answers, source, where.starts, key, received);
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

void Model::for_each_parameter(const std::function<void(Parameter&)>& given) {
    const auto f = [&](Parameter& parameter) {
        if (parameter.defined()) given(parameter);
    };
    const auto of_norm = [&](Norm& norm) {
        f(norm.weight);
        f(norm.bias);
    };
    f(positions);
    f(token_types);
    of_norm(embedding_norm);
    for (Stack* of : {&encoder, &stack}) {
        f(of->relative_bias);
        for (Block& block : of->blocks) {
            for (Norm* norm : block.norms()) of_norm(*norm);
            for (Linear* layer : block.linears()) f(layer->bias);
        }
        of_norm(of->final_norm);
    }
    for (Linear* layer : {&head_dense, &head}) f(layer->bias);
}

std::int64_t Model::small_parameters() const {
    std::int64_t total = 0;
    const_cast<Model*>(this)->for_each_parameter([&](const Parameter& parameter) { total += parameter.base.numel(); });
    return total;
}

std::int64_t Model::parameters() const {
    std::int64_t total = embedding.rows() * embedding.cols() + small_parameters();
    for_each_linear([&](const Linear& layer) {
        if (&layer != &head || !config.head_is_embedding()) total += layer.weight.rows() * layer.weight.cols();
    });
    return total;
}

std::int64_t Model::weight_bytes() const {
    std::int64_t total = embedding.bytes() + 4 * small_parameters();
    for_each_linear([&](const Linear& layer) {
        if (&layer != &head || !config.head_is_embedding()) total += layer.weight.bytes();
    });
    return total;
}

}  // namespace qlora::nn
