#include "core/adapters/virtual_tokens.h"

#include <torch/torch.h>

#include "core/adapters/draw.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "core/memory/meters.h"

namespace qlora::adapters {

using torch::Tensor;

namespace {

constexpr const char* prompt_type = "PROMPT_TUNING";
constexpr const char* prefix_type = "PREFIX_TUNING";
constexpr std::int64_t most_tokens = 1 << 16;

void expect_place(const nn::Model& model, const VirtualTokensConfig& config) {
    const nn::HeadConfig& head = model.config.head;
    const auto refuse = [](const std::string& message, const char* hint) { throw input_error("adapter.task", "method.kind", message, hint); };
    if (config.prefix && model.config.encoder_decoder())
        refuse("prefix tuning of an encoder with a decoder is not supported", "Choose prompt tuning or LoRA.");
    const bool first = head.kind == nn::HeadConfig::Kind::classifier && head.pooling == nn::HeadConfig::Pooling::first;
    // What such a classifier reads would be a virtual token's state, in a place where only a pooler was trained to look.
    const bool pooler = head.dense && model.config.family == "bert";
    if (!config.prefix && first && !pooler)
        refuse("prompt tuning puts tokens in front of the one that this model's classifier reads, and it has no pooler behind it that could learn from them",
               "Choose prefix tuning or LoRA.");
    if (config.tokens >= model.config.token_limit())
        refuse(std::to_string(config.tokens) + " virtual tokens leave no room in the model's context of " + std::to_string(model.config.token_limit()),
               "Choose fewer.");
}

// As many ids as there are tokens.
std::vector<std::int32_t> filled(std::vector<std::int32_t> ids, std::int64_t tokens, std::int64_t vocabulary, std::uint64_t seed) {
    RandomStream random(seed, "virtual tokens");
    const std::size_t given = ids.size(), wanted = static_cast<std::size_t>(tokens);
    while (ids.size() < wanted)
        ids.push_back(given > 0 ? ids[ids.size() % given] : static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocabulary))));
    ids.resize(wanted);
    return ids;
}

// What tokens leave in a decoder's cache, [n, layers * 2 * kv_width].
Tensor keys_and_values(const nn::Model& model, const std::vector<std::int32_t>& ids) {
    nn::KeyValueCache cache;
    model.next_logits(ids, cache);
    const auto n = static_cast<std::int64_t>(ids.size());
    std::vector<Tensor> parts;
    for (std::size_t layer = 0; layer < cache.keys.size(); ++layer)
        for (const Tensor* of : {&cache.keys[layer], &cache.values[layer]}) parts.push_back(of->narrow(0, 0, n).reshape({n, -1}));
    return at::cat(parts, 1);
}

}  // namespace

void VirtualTokens::build(nn::Model& model, const Tensor& begin) {
    expect_place(model, config_);
    const nn::ModelConfig& c = model.config;
    width_ = config_.prefix ? c.kv_width() : c.hidden;
    heads_ = config_.prefix ? c.kv_heads : c.heads;
    layers_ = c.layers;
    const std::vector<std::int64_t> shape{config_.tokens, config_.prefix ? layers_ * 2 * width_ : width_};
    std::vector<Planned> planned{whole("prompt_embeddings", shape, config_.prefix ? model.prefix : model.prompt,
                                       [&] { return begin.defined() ? begin : torch::zeros(shape, torch::kFloat32); })};
    plan_saved(model, config_.saved, "base_model.", planned);
    allocate(planned, model.device());
}

std::unique_ptr<VirtualTokens> VirtualTokens::attach(nn::Model& model, const VirtualTokensConfig& config, std::vector<std::int32_t> ids, std::uint64_t seed) {
    torch::NoGradGuard no_grad;
    std::unique_ptr<VirtualTokens> adapter(new VirtualTokens);
    adapter->config_ = config;
    expect_place(model, config);
    ids = filled(std::move(ids), config.tokens, model.config.vocabulary, seed);
    Tensor begin;
    {
        memory::TagScope scope(MemoryTag::scratch);
        if (!config.prefix) {
            begin = model.embedding.gather(torch::tensor(c10::ArrayRef<std::int32_t>(ids), torch::kInt32).to(torch::kInt64).to(model.device())) * model.config.embedding_scale;
        } else if (model.config.causal && model.config.head.kind == nn::HeadConfig::Kind::language_model) {
            begin = keys_and_values(model, ids);
        }
    }
    adapter->build(model, begin);
    if (!begin.defined()) draw_normal(adapter->tensors()[0].tensor, 0.02, seed, "prefix");
    return adapter;
}

std::unique_ptr<VirtualTokens> VirtualTokens::load(nn::Model& model, const std::filesystem::path& folder) {
    const Json json = read_adapter_json(folder);
    const JsonObject object(json, (folder / "adapter_config.json").string());
    std::unique_ptr<VirtualTokens> adapter(new VirtualTokens);
    VirtualTokensConfig& config = adapter->config_;
    config.prefix = object.string("peft_type") == prefix_type;
    config.tokens = object.integer("num_virtual_tokens", 1, most_tokens);
    config.base_model = object.string("base_model_name_or_path", "");
    config.task_type = object.string("task_type", "");
    config.saved = read_name_list(object, "modules_to_save");
    // PEFT saves a projected prefix as what it projects to.
    if (!config.prefix && model.config.encoder_decoder() && object.integer("num_transformer_submodules", 1, 2, 2) == 2)
        object.fail("num_transformer_submodules", "1: virtual tokens in front of the decoder too are not supported");
    adapter->build(model, {});
    adapter->restore(folder);
    return adapter;
}

OrderedJson VirtualTokens::config_json() const {
    OrderedJson config = {{"peft_type", config_.prefix ? prefix_type : prompt_type},
                          {"task_type", config_.task_type},
                          {"base_model_name_or_path", config_.base_model},
                          {"num_virtual_tokens", config_.tokens},
                          {"token_dim", width_},
                          {"num_transformer_submodules", 1},
                          {"num_attention_heads", heads_},
                          {"num_layers", layers_},
                          {"inference_mode", true}};
    if (config_.prefix) {
        config["encoder_hidden_size"] = width_;
        config["prefix_projection"] = false;
    } else {
        config["prompt_tuning_init"] = "RANDOM";
    }
    if (!config_.saved.empty()) config["modules_to_save"] = config_.saved;
    return config;
}

}  // namespace qlora::adapters
