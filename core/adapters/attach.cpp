#include "core/adapters/attach.h"

#include "core/adapters/bottleneck.h"
#include "core/adapters/lora.h"
#include "core/adapters/task_file.h"
#include "core/adapters/virtual_tokens.h"
#include "core/adapters/whole.h"
#include "core/base/error.h"
#include "core/recipe/fields.h"

namespace qlora::adapters {

using recipe::MethodKind;

namespace {

std::unique_ptr<Adapter> fresh_lora(nn::Model& model, const recipe::Recipe& recipe, const Beginning& beginning, const std::string& task) {
    const recipe::Method& method = recipe.method;
    LoraConfig config;
    config.rank = method.rank;
    config.alpha = method.alpha;
    config.dropout = method.dropout;
    config.rslora = method.rslora;
    config.dora = method.dora;
    config.target_modules = method.target_modules;
    config.target_options.saved = beginning.saved;
    config.base_model = recipe.model;
    config.task_type = task;
    auto lora = Lora::attach(model, config, recipe.train.seed);
    if (method.start == recipe::Start::pissa) lora->start_from_principal_parts();
    if (method.start == recipe::Start::loftq) lora->start_from_errors(beginning.original);
    return lora;
}

}  // namespace

std::unique_ptr<Adapter> attach(nn::Model& model, const recipe::Recipe& recipe, const Beginning& beginning) {
    const recipe::Method& method = recipe.method;
    const std::string task = peft_name(recipe.task);
    switch (method.kind) {
        case MethodKind::lora: break;
        case MethodKind::full:
        case MethodKind::bitfit:
            return Whole::attach(model, {method.kind == MethodKind::bitfit, method.kind == MethodKind::full ? method.freeze : std::vector<std::string>(),
                                         beginning.saved, recipe.model, task});
        case MethodKind::adapter:
            return BottleneckLayers::attach(model, {method.placement, method.reduction_factor, method.parallel, beginning.saved, recipe.model, task}, recipe.train.seed);
        case MethodKind::prompt_tuning:
        case MethodKind::prefix_tuning:
            return VirtualTokens::attach(model, {method.kind == MethodKind::prefix_tuning, method.virtual_tokens, beginning.saved, recipe.model, task},
                                         beginning.text_ids, recipe.train.seed);
    }
    return fresh_lora(model, recipe, beginning, task);
}

void quantize_aware(nn::Model& model, Adapter& adapter, const recipe::QuantizationAware& rule, bool on) {
    const recipe::Precision precision = recipe::precision_named(rule.precision).value();
    const quant::BlockOptions options{rule.block, false};
    std::vector<std::shared_ptr<nn::Quantizer>> quantizers;
    for (nn::Stack* stack : {&model.encoder, &model.stack})
        for (nn::Block& block : stack->blocks)
            for (nn::Linear* layer : block.linears()) {
                if (!layer->weight.dense_values().defined())
                    throw input_error("qat.base", "qat.precision", "expected none over a base that is quantized already (" + layer->name + " is " + layer->weight.form() + "), got " +
                                      rule.precision, "Choose a model in a float precision: what the base has lost cannot be trained back.");
                layer->quantizer = std::make_shared<nn::Quantizer>();
                layer->quantizer->make = [precision, options](const torch::Tensor& values) { return quant::Weight::quantized(values, precision, options); };
                quantizers.push_back(layer->quantizer);
            }
    adapter.set_quantizers(std::move(quantizers), on);
}

MethodKind kind_of(const std::filesystem::path& folder) {
    const Json json = read_adapter_json(folder);
    const JsonObject object(json, (folder / "adapter_config.json").string());
    const std::string type = object.string("peft_type");
    for (const auto& [name, kind] : {std::pair{"LORA", MethodKind::lora}, {"FULL", MethodKind::full}, {"BITFIT", MethodKind::bitfit},
                                     {"BOTTLENECK", MethodKind::adapter}, {"PROMPT_TUNING", MethodKind::prompt_tuning}, {"PREFIX_TUNING", MethodKind::prefix_tuning}})
        if (type == name) return kind;
    object.fail("peft_type", "\"LORA\", \"PROMPT_TUNING\", \"PREFIX_TUNING\", \"FULL\", \"BITFIT\" or \"BOTTLENECK\"");
}

std::unique_ptr<Adapter> load(nn::Model& model, const std::filesystem::path& folder, double dropout) {
    switch (kind_of(folder)) {
        case MethodKind::lora: break;
        case MethodKind::full:
        case MethodKind::bitfit: return Whole::load(model, folder);
        case MethodKind::adapter: return BottleneckLayers::load(model, folder);
        case MethodKind::prompt_tuning:
        case MethodKind::prefix_tuning: return VirtualTokens::load(model, folder);
    }
    return Lora::load(model, folder, dropout);
}

}  // namespace qlora::adapters
