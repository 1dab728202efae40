#include "core/adapters/whole.h"

#include <torch/torch.h>

#include <algorithm>

#include "core/adapters/freeze.h"
#include "core/adapters/targets.h"
#include "core/base/error.h"

namespace qlora::adapters {

namespace {

constexpr const char* full_type = "FULL";
constexpr const char* bias_type = "BITFIT";

}  // namespace

void Whole::build(nn::Model& model) {
    std::vector<Planned> planned;
    std::vector<bool> used(config_.freeze.size(), false);
    // The head that is the embedding is trained with it.
    const bool tied = model.config.head_is_embedding(), transposes = model.config.family == "gpt2";
    const auto trains = [&](const std::string& tensor) { return !is_frozen(tensor, model.embedding_name, config_.freeze, &used); };
    if (!config_.biases_only) {
        if (trains(model.embedding_name + ".weight"))
            planned.push_back(whole(model.embedding_name + ".weight", {model.embedding.rows(), model.embedding.cols()}, model.trained_embedding,
                                    [&model] { return model.embedding.dequantized(); }));
        model.for_each_linear([&](nn::Linear& layer) {
            if ((&layer == &model.head && tied) || !trains(layer.name + ".weight")) return;
            planned.push_back(whole(layer.name + ".weight", {layer.weight.rows(), layer.weight.cols()}, layer.trained,
                                    [&layer] { return layer.weight.dequantized(); }, transposes && !is_head(layer.name)));
        });
    } else {
        plan_saved(model, config_.saved, "", planned);
    }
    model.for_each_parameter([&](nn::Parameter& parameter) {
        const bool planned_already = std::ranges::any_of(planned, [&](const Planned& one) { return one.name == parameter.name; });
        if (planned_already || (config_.biases_only && !parameter.name.ends_with(".bias")) || !trains(parameter.name)) return;
        planned.push_back(whole(parameter.name, parameter.base.sizes().vec(), parameter.trained, [&parameter] { return parameter.base; }));
    });
    for (std::size_t i = 0; i < used.size(); ++i)
        if (!used[i])
            throw input_error("adapter.freeze", "method.freeze", "\"" + config_.freeze[i] + "\" names no tensor of this model",
                              "Use embeddings, norms, head, numbers of blocks such as 0-5, or names of modules.");
    if (config_.biases_only && std::ranges::none_of(planned, [](const Planned& one) { return one.name.ends_with(".bias"); }))
        throw input_error("adapter.nothing", "method.kind", "BitFit trains biases, and this model has none",
                          "Choose LoRA, or a model with biases (BERT, GPT-2, Qwen 2).");
    if (planned.empty()) throw input_error("adapter.nothing", "method.freeze", "everything is frozen: nothing is left to train", "Freeze less.");
    allocate(planned, model.device());
    if (tied && model.trained_embedding) model.head.trained = model.trained_embedding;
}

std::unique_ptr<Whole> Whole::attach(nn::Model& model, const WholeConfig& config) {
    std::unique_ptr<Whole> whole(new Whole);
    whole->config_ = config;
    whole->build(model);
    return whole;
}

std::unique_ptr<Whole> Whole::load(nn::Model& model, const std::filesystem::path& folder) {
    const Json json = read_adapter_json(folder);
    const JsonObject object(json, (folder / "adapter_config.json").string());
    WholeConfig config;
    config.biases_only = object.string("peft_type") == bias_type;
    config.freeze = read_name_list(object, "freeze");
    config.saved = read_name_list(object, "modules_to_save");
    config.base_model = object.string("base_model_name_or_path", "");
    config.task_type = object.string("task_type", "");
    auto whole = attach(model, config);
    whole->restore(folder);
    return whole;
}

OrderedJson Whole::config_json() const {
    OrderedJson config = {{"peft_type", config_.biases_only ? bias_type : full_type}, {"task_type", config_.task_type},
                          {"base_model_name_or_path", config_.base_model}, {"freeze", config_.freeze}};
    if (!config_.saved.empty()) config["modules_to_save"] = config_.saved;
    return config;
}

}  // namespace qlora::adapters
