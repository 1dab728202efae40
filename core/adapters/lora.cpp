#include "core/adapters/lora.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "core/adapters/targets.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "core/memory/meters.h"

namespace qlora::adapters {

using torch::Tensor;

double LoraConfig::scale() const {
    const auto r = static_cast<double>(rank);
    return alpha / (rslora ? std::sqrt(r) : r);
}

void Lora::build(nn::Model& model, const std::vector<std::string>& modules) {
    std::vector<nn::Linear*> targets;
    std::int64_t total = 0;
    model.for_each_linear([&](nn::Linear& layer) {
        if (std::find(modules.begin(), modules.end(), layer.name) == modules.end()) return;
        targets.push_back(&layer);
        total += config_.rank * (layer.weight.rows() + layer.weight.cols());
    });
    {
        memory::TagScope scope(MemoryTag::adapters);
        values_ = torch::zeros({total}, torch::kFloat32);
    }
    {
        memory::TagScope scope(MemoryTag::gradients);
        gradients_ = torch::zeros({total}, torch::kFloat32);
    }
    std::int64_t offset = 0;
    auto view = [&](std::int64_t rows, std::int64_t cols) {
        Tensor leaf = values_.narrow(0, offset, rows * cols).view({rows, cols}).detach().requires_grad_(true);
        leaf.mutable_grad() = gradients_.narrow(0, offset, rows * cols).view({rows, cols});
        offset += rows * cols;
        return leaf;
    };
    for (nn::Linear* target : targets) {
        auto branch = std::make_shared<nn::LowRank>();
        branch->a = view(config_.rank, target->weight.cols());
        branch->b = view(target->weight.rows(), config_.rank);
        branch->scale = config_.scale();
        branch->dropout = config_.dropout;
        branch->stream = layers_.size();
        target->branch = branch;
        layers_.push_back({target->name, branch});
    }
}

namespace {
std::vector<std::string> linear_names(const nn::Model& model) {
    std::vector<std::string> names;
    model.for_each_linear([&](const nn::Linear& layer) { names.push_back(layer.name); });
    return names;
}
}  // namespace

std::unique_ptr<Lora> Lora::attach(nn::Model& model, const LoraConfig& config, std::uint64_t seed) {
    std::unique_ptr<Lora> lora(new Lora);
    lora->config_ = config;
    lora->build(model, select_targets(linear_names(model), config.target_modules));
    torch::NoGradGuard no_grad;
    for (const Layer& layer : lora->layers_) {
        // kaiming_uniform_(a = sqrt(5)) is U(-1/sqrt(in), 1/sqrt(in)).
        RandomStream random(seed, "lora/" + layer.module);
        Tensor a = layer.branch->a;
        const double bound = 1 / std::sqrt(static_cast<double>(a.size(1)));
        float* values = a.data_ptr<float>();
        for (std::int64_t i = 0; i < a.numel(); ++i) values[i] = static_cast<float>((2 * random.uniform() - 1) * bound);
    }
    return lora;
}

std::unique_ptr<Lora> Lora::load(nn::Model& model, const std::filesystem::path& folder, double dropout) {
    std::unique_ptr<Lora> lora(new Lora);
    lora->config_ = read_config(folder);
    lora->config_.dropout = dropout;
    lora->build(model, select_targets(linear_names(model), lora->config_.target_modules));
    lora->restore(folder);
    return lora;
}

Lora::~Lora() = default;

void Lora::set_enabled(bool enabled) {
    for (const Layer& layer : layers_) layer.branch->enabled = enabled;
}

}  // namespace qlora::adapters
