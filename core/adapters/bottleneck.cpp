#include "core/adapters/bottleneck.h"

#include <torch/torch.h>

#include "core/adapters/draw.h"
#include "core/adapters/freeze.h"

namespace qlora::adapters {

using torch::Tensor;

namespace {

constexpr const char* type = "BOTTLENECK";

}  // namespace

void BottleneckLayers::build(nn::Model& model) {
    std::vector<Planned> planned;
    const std::int64_t hidden = model.config.hidden, width = std::max<std::int64_t>(1, hidden / config_.reduction);
    const auto add = [&](const std::string& name, std::shared_ptr<nn::Bottleneck>& place) {
        place = std::make_shared<nn::Bottleneck>();
        place->parallel = config_.parallel;
        layers_.emplace_back(name, place);
        const auto tensor = [&](const char* part, std::vector<std::int64_t> shape, Tensor& to) {
            planned.push_back({name + "." + part, std::move(shape), [&to](const Tensor& leaf, const Tensor&) { to = leaf; }});
        };
        tensor("down.weight", {width, hidden}, place->down);
        tensor("down.bias", {width}, place->down_bias);
        tensor("up.weight", {hidden, width}, place->up);
        tensor("up.bias", {hidden}, place->up_bias);
    };
    for (nn::Stack* stack : {&model.encoder, &model.stack})
        for (nn::Block& block : stack->blocks) {
            const std::string name = block_name(block.output.name);
            if (config_.placement == recipe::Placement::houlsby) add(name + ".attention_adapter", block.attention_adapter);
            add(name + ".mlp_adapter", block.mlp_adapter);
        }
    plan_saved(model, config_.saved, "", planned);
    allocate(planned, model.device());
}

std::unique_ptr<BottleneckLayers> BottleneckLayers::attach(nn::Model& model, const BottleneckConfig& config, std::uint64_t seed) {
    std::unique_ptr<BottleneckLayers> adapter(new BottleneckLayers);
    adapter->config_ = config;
    adapter->build(model);
    for (auto& [name, layer] : adapter->layers_) draw_kaiming(layer->down, seed, "bottleneck/" + name);
    return adapter;
}

std::unique_ptr<BottleneckLayers> BottleneckLayers::load(nn::Model& model, const std::filesystem::path& folder) {
    const Json json = read_adapter_json(folder);
    const JsonObject object(json, (folder / "adapter_config.json").string());
    BottleneckConfig config;
    const std::string placement = object.string("placement");
    if (placement != "pfeiffer" && placement != "houlsby") object.fail("placement", "\"pfeiffer\" or \"houlsby\"");
    config.placement = placement == "houlsby" ? recipe::Placement::houlsby : recipe::Placement::pfeiffer;
    config.reduction = object.integer("reduction_factor", 1, 1 << 16);
    config.parallel = object.boolean("parallel", false);
    config.saved = read_name_list(object, "modules_to_save");
    config.base_model = object.string("base_model_name_or_path", "");
    config.task_type = object.string("task_type", "");
    std::unique_ptr<BottleneckLayers> adapter(new BottleneckLayers);
    adapter->config_ = config;
    adapter->build(model);
    adapter->restore(folder);
    return adapter;
}

void BottleneckLayers::set_enabled(bool enabled) {
    Adapter::set_enabled(enabled);
    for (auto& [name, layer] : layers_) layer->enabled = enabled;
}

OrderedJson BottleneckLayers::config_json() const {
    OrderedJson config = {{"peft_type", type}, {"task_type", config_.task_type}, {"base_model_name_or_path", config_.base_model},
                          {"placement", recipe::name(config_.placement)}, {"reduction_factor", config_.reduction}, {"parallel", config_.parallel}};
    if (!config_.saved.empty()) config["modules_to_save"] = config_.saved;
    return config;
}

}  // namespace qlora::adapters
