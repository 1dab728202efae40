#include "core/adapters/lora.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "core/adapters/pattern.h"
#include "core/base/error.h"
#include "core/base/random.h"
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

// Cuts views out of the flat buffers, one after the other.
class Views {
  public:
    Views(Tensor& values, Tensor& gradients) : values_(values), gradients_(gradients) {}
    Tensor next(std::vector<std::int64_t> shape) {
        const std::int64_t size = c10::multiply_integers(shape);
        Tensor leaf = values_.narrow(0, offset_, size).view(shape).detach().requires_grad_(true);
        leaf.mutable_grad() = gradients_.narrow(0, offset_, size).view(shape);
        offset_ += size;
        return leaf;
    }

  private:
    Tensor &values_, &gradients_;
    std::int64_t offset_ = 0;
};

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
    std::vector<nn::Linear*> adapted, whole;
    std::vector<std::int64_t> ranks;
    std::int64_t total = 0;
    model.for_each_linear([&](nn::Linear& layer) {
        if (is_saved(layer.name, saved)) {
            whole.push_back(&layer);
            total += layer.weight.rows() * layer.weight.cols() + (layer.bias.defined() ? layer.bias.numel() : 0);
        } else if (std::ranges::find(targets, layer.name) != targets.end()) {
            if (config_.dora && &layer == &model.head)
                throw input_error("adapter.targets", "method.target_modules", "DoRA on the output head is not supported", "Leave out " + layer.name + ".");
            adapted.push_back(&layer);
            ranks.push_back(of_pattern(config_.rank_pattern, layer.name, config_.rank));
            total += ranks.back() * (layer.weight.rows() + layer.weight.cols()) + (config_.dora ? layer.weight.rows() : 0);
        }
    });
    const bool embedding = is_saved(model.embedding_name, saved);
    if (embedding) total += model.embedding.rows() * model.embedding.cols();
    {
        memory::TagScope scope(MemoryTag::adapters);
        values_ = torch::zeros({total}, torch::TensorOptions(model.device()).dtype(torch::kFloat32));
    }
    {
        memory::TagScope scope(MemoryTag::gradients);
        gradients_ = torch::zeros_like(values_);
    }
    torch::NoGradGuard no_grad;
    Views views(values_, gradients_);
    auto keep = [&](std::string name, const Tensor& tensor) {
        tensors_.push_back({std::move(name), tensor, false});
        return tensor;
    };
    for (std::size_t i = 0; i < adapted.size(); ++i) {
        nn::Linear& target = *adapted[i];
        auto branch = std::make_shared<nn::LowRank>();
        branch->a = keep(in_file(target.name, "lora_A.weight"), views.next({ranks[i], target.weight.cols()}));
        branch->b = keep(in_file(target.name, "lora_B.weight"), views.next({target.weight.rows(), ranks[i]}));
        branch->a_gradient = branch->a.grad();
        branch->b_gradient = branch->b.grad();
        if (config_.dora) {
            memory::TagScope scope(MemoryTag::adapters);
            branch->base_square_norms = nn::squared_row_norms(target.weight);
            branch->magnitude = keep(in_file(target.name, "lora_magnitude_vector"), views.next({target.weight.rows()}));
            branch->magnitude.detach().copy_(branch->base_square_norms.sqrt());
        }
        branch->scale = config_.scale(ranks[i], of_pattern(config_.alpha_pattern, target.name, config_.alpha));
        branch->dropout = config_.dropout;
        branch->stream = layers_.size();
        target.branch = branch;
        layers_.push_back({target.name, branch});
    }
    for (nn::Linear* target : whole) {
        auto trained = std::make_shared<nn::TrainedLinear>();
        trained->weight = keep(in_file(target->name, "weight"), views.next({target->weight.rows(), target->weight.cols()}));
        tensors_.back().transposed = fan_in_fan_out_ && !is_head(target->name);
        trained->weight.detach().copy_(target->weight.dequantized());
        if (target->bias.defined()) {
            trained->bias = keep(in_file(target->name, "bias"), views.next({target->bias.numel()}));
            trained->bias.detach().copy_(target->bias);
        }
        target->trained = trained;
        trained_.push_back(trained);
    }
    if (!embedding) return;
    auto trained = std::make_shared<nn::TrainedLinear>();
    trained->weight = keep(in_file(model.embedding_name, "weight"), views.next({model.embedding.rows(), model.embedding.cols()}));
    trained->weight.detach().copy_(model.embedding.dequantized());
    model.trained_embedding = trained;
    trained_.push_back(trained);
}

std::unique_ptr<Lora> Lora::attach(nn::Model& model, const LoraConfig& config, std::uint64_t seed) {
    std::unique_ptr<Lora> lora(new Lora);
    lora->config_ = config;
    lora->build(model);
    torch::NoGradGuard no_grad;
    for (const Layer& layer : lora->layers_) {
        // kaiming_uniform_(a = sqrt(5)) is U(-1/sqrt(in), 1/sqrt(in)).
        RandomStream random(seed, "lora/" + layer.module);
        Tensor a = layer.branch->a, drawn = torch::empty(a.sizes(), torch::kFloat32);
        const double bound = 1 / std::sqrt(static_cast<double>(a.size(1)));
        float* values = drawn.data_ptr<float>();
        for (std::int64_t i = 0; i < a.numel(); ++i) values[i] = static_cast<float>((2 * random.uniform() - 1) * bound);
        a.copy_(drawn);
    }
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

Lora::~Lora() = default;

void Lora::set_enabled(bool enabled) {
    if (merged()) throw input_error("adapter.merged", "adapter", "expected an adapter beside its base, got one merged into it", "Unmerge it first.");
    for (const Layer& layer : layers_) layer.branch->enabled = enabled;
    for (const auto& module : trained_) module->enabled = enabled;
}

}  // namespace qlora::adapters
