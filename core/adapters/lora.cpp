#include "core/adapters/lora.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "core/adapters/draw.h"
#include "core/adapters/pattern.h"
#include "core/base/error.h"
#include "core/formats/sharded_tensors.h"
#include "core/memory/meters.h"
#include "core/nn/functions/dora.h"

namespace qlora::adapters {

using torch::Tensor;

namespace {

std::vector<std::string> linear_names(const nn::Model& model) {
    std::vector<std::string> names;
    model.for_each_linear([&](const nn::Linear& layer) { names.push_back(layer.name); });
    return names;
}

// The first expression that fits a module, as PEFT tries them.
template <typename Value>
Value of_pattern(const std::vector<std::pair<std::string, Value>>& patterns, const std::string& module, Value otherwise) {
    for (const auto& [expression, value] : patterns)
        if (Pattern("(?:.*\\.)?(?:" + expression + ")$", "rank_pattern, alpha_pattern").matches_start(module)) return value;
    return otherwise;
}

std::string in_file(const std::string& module, const std::string& part) { return "base_model.model." + module + "." + part; }

void expect_known(const std::vector<std::string>& entries, const std::vector<std::string>& names, const std::string& embedding) {
    for (const auto& entry : entries) {
        // PEFT names a classifier "classifier" and "score", whichever of them there is.
        if (entry == "classifier" || entry == "score") continue;
        const auto known = [&](const std::string& name) { return is_saved(name, {entry}); };
        if (std::ranges::none_of(names, known) && !known(embedding))
            throw input_error("adapter.modules_to_save", "modules_to_save", "\"" + entry + "\" is neither a linear layer of this model nor its embedding",
                              "Only those can be trained whole.");
    }
}

// That the ranks are those of the file, before anything is allocated for them.
void expect_ranks(nn::Model& model, const LoraConfig& config, const std::filesystem::path& folder) {
    const formats::ShardedTensors file(folder, "adapter_model");
    std::int64_t largest = 0;
    for (const auto* view : file.tensors())
        if (view->name.ends_with(".lora_A.weight") && !view->shape.empty()) largest = std::max(largest, view->shape[0]);
    const auto targets = select_targets(linear_names(model), config.target_modules, config.target_options);
    model.for_each_linear([&](const nn::Linear& layer) {
        if (std::ranges::find(targets, layer.name) == targets.end()) return;
        const std::int64_t rank = of_pattern(config.rank_pattern, layer.name, config.rank);
        const auto* view = file.find(in_file(layer.name, "lora_A.weight"));
        if (view != nullptr) formats::expect_shape(*view, std::vector{rank, layer.weight.cols()}, folder.string());
        else if (rank > largest)
            throw input_error("adapter.tensors", folder.string(), "the adapter does not fit this model:\n  missing: " + in_file(layer.name, "lora_A.weight"),
                              "Use it with the base model it was trained on.");
    });
}

}  // namespace

double LoraConfig::scale(std::int64_t r, double a) const {
    return a / (rslora ? std::sqrt(static_cast<double>(r)) : static_cast<double>(r));
}

void Lora::build(nn::Model& model) {
    const auto& saved = config_.target_options.saved;
    const auto names = linear_names(model);
    if (!config_.target_options.lenient) expect_known(saved, names, model.embedding_name);
    const auto targets = select_targets(names, config_.target_modules, config_.target_options);
    fan_in_fan_out_ = model.config.family == "gpt2";
    std::vector<nn::Linear*> adapted;
    std::vector<std::int64_t> ranks;
    model.for_each_linear([&](nn::Linear& layer) {
        if (is_saved(layer.name, saved) || std::ranges::find(targets, layer.name) == targets.end()) return;
        if (config_.dora && &layer == &model.head)
            throw input_error("adapter.targets", "method.target_modules", "DoRA on the output head is not supported", "Leave out " + layer.name + ".");
        adapted.push_back(&layer);
        ranks.push_back(of_pattern(config_.rank_pattern, layer.name, config_.rank));
    });
    std::vector<Planned> planned;
    for (std::size_t i = 0; i < adapted.size(); ++i) {
        nn::Linear& target = *adapted[i];
        auto branch = std::make_shared<nn::LowRank>();
        const auto place = [](torch::Tensor& to, torch::Tensor* gradient_to = nullptr) {
            return [&to, gradient_to](const Tensor& leaf, const Tensor& gradient) {
                to = leaf;
                if (gradient_to != nullptr) *gradient_to = gradient;
            };
        };
        planned.push_back({in_file(target.name, "lora_A.weight"), {ranks[i], target.weight.cols()}, place(branch->a, &branch->a_gradient)});
        planned.push_back({in_file(target.name, "lora_B.weight"), {target.weight.rows(), ranks[i]}, place(branch->b, &branch->b_gradient)});
        if (config_.dora) {
            memory::TagScope scope(MemoryTag::adapters);
            branch->base_square_norms = nn::squared_row_norms(target.weight);
            planned.push_back({in_file(target.name, "lora_magnitude_vector"), {target.weight.rows()}, place(branch->magnitude)});
        }
        branch->scale = config_.scale(ranks[i], of_pattern(config_.alpha_pattern, target.name, config_.alpha));
        branch->dropout = config_.dropout;
        branch->stream = layers_.size();
        layers_.push_back({target.name, branch, &target.weight});
    }
    plan_saved(model, saved, "base_model.model.", planned);
    allocate(planned, model.device());
    for (std::size_t i = 0; i < adapted.size(); ++i) {
        adapted[i]->branch = layers_[i].branch;
        if (config_.dora) layers_[i].branch->magnitude.detach().copy_(layers_[i].branch->base_square_norms.sqrt());
    }
}

std::unique_ptr<Lora> Lora::attach(nn::Model& model, const LoraConfig& config, std::uint64_t seed) {
    std::unique_ptr<Lora> lora(new Lora);
    lora->config_ = config;
    lora->build(model);
    for (const Layer& layer : lora->layers_) draw_kaiming(layer.branch->a, seed, "lora/" + layer.module);
    return lora;
}

std::unique_ptr<Lora> Lora::load(nn::Model& model, const std::filesystem::path& folder, double dropout) {
    std::unique_ptr<Lora> lora(new Lora);
    lora->config_ = read_config(folder);
    lora->config_.dropout = dropout;
    expect_ranks(model, lora->config_, folder);
    lora->build(model);
    lora->restore(folder);
    return lora;
}

void Lora::set_enabled(bool enabled) {
    Adapter::set_enabled(enabled);
    for (const Layer& layer : layers_) layer.branch->enabled = enabled;
}

}  // namespace qlora::adapters
