#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/adapters/adapter.h"
#include "core/base/error.h"
#include "core/memory/meters.h"
#include "core/nn/functions/dora.h"
#include "core/quant/matmul.h"

namespace qlora::adapters {

using torch::Tensor;

namespace {

// The matrix that computes what the layer and its branch compute together, fp32 [out, in].
Tensor merged_matrix(const quant::Weight& weight, const nn::LowRank& branch) {
    Tensor merged = weight.dense_fp32().defined() ? weight.dense_fp32().clone() : weight.dequantized();
    Tensor scaled = branch.b.detach() * branch.scale;
    quant::add_matmul(merged, scaled, branch.a.detach());
    if (branch.start_a.defined()) quant::add_matmul(merged, branch.start_b * -branch.scale, branch.start_a);
    if (branch.magnitude.defined())
        merged.mul_((branch.magnitude.detach() / nn::adapted_row_norms(weight, branch)).unsqueeze(1));
    return merged;
}

Tensor expect_finite(Tensor values, const std::string& module) {
    if (!std::isfinite(values.sum().item<float>()) && !at::isfinite(values).all().item<bool>())
        throw input_error("adapter.not_finite", module, "merging the adapter into " + module + " would give NaN or infinite weights",
                          "The adapter or the base is damaged; nothing was changed.");
    return values;
}

}  // namespace

// What the model held in the places of merged tensors.
struct Adapter::Originals {
    std::vector<std::pair<nn::Linear*, nn::Linear>> layers;
    std::vector<std::pair<nn::Parameter*, nn::Parameter>> parameters;
    quant::Weight embedding;
    std::shared_ptr<nn::Trained> trained_embedding;
};

void Adapter::merge(nn::Model& model) {
    if (merged()) return;
    if (!mergeable())
        throw input_error("adapter.merge", "adapter", "expected an adapter that changes weights, got one that adds layers or tokens to the model",
                          "Use it beside its base.");
    torch::NoGradGuard no_grad;
    memory::TagScope scope(MemoryTag::weights);
    auto originals = std::make_shared<Originals>();
    std::vector<nn::Linear> replacements;
    const auto whole = [](const nn::Trained& trained, const std::string& name) { return expect_finite(trained.values.detach().clone(), name); };
    model.for_each_linear([&](nn::Linear& layer) {
        if (!layer.branch && !layer.trained) return;
        nn::Linear replacement = layer;
        replacement.branch = nullptr;
        replacement.trained = nullptr;
        replacement.weight = quant::Weight::dense(layer.trained ? whole(*layer.trained, layer.name)
                                                                : expect_finite(merged_matrix(layer.weight, *layer.branch), layer.name));
        originals->layers.emplace_back(&layer, layer);
        replacements.push_back(std::move(replacement));
    });
    std::vector<nn::Parameter> parameters;
    model.for_each_parameter([&](nn::Parameter& parameter) {
        if (!parameter.trained) return;
        parameters.push_back({parameter.name, whole(*parameter.trained, parameter.name)});
        originals->parameters.emplace_back(&parameter, parameter);
    });
    quant::Weight embedding;
    if (model.trained_embedding) embedding = quant::Weight::dense(whole(*model.trained_embedding, model.embedding_name));
    // From here on nothing fails.
    for (std::size_t i = 0; i < replacements.size(); ++i) *originals->layers[i].first = std::move(replacements[i]);
    for (std::size_t i = 0; i < parameters.size(); ++i) *originals->parameters[i].first = std::move(parameters[i]);
    if (embedding.defined()) {
        originals->embedding = std::exchange(model.embedding, embedding);
        originals->trained_embedding = std::exchange(model.trained_embedding, nullptr);
    }
    originals_ = std::move(originals);
    merged_ = true;
}

void Adapter::unmerge(nn::Model& model) {
    if (!merged()) return;
    for (auto& [layer, original] : originals_->layers) *layer = std::move(original);
    for (auto& [parameter, original] : originals_->parameters) *parameter = std::move(original);
    if (originals_->trained_embedding) {
        model.embedding = std::move(originals_->embedding);
        model.trained_embedding = std::move(originals_->trained_embedding);
    }
    originals_.reset();
    merged_ = false;
}

}  // namespace qlora::adapters
