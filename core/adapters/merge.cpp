#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/adapters/lora.h"
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

void Lora::merge(nn::Model& model) {
    if (merged()) return;
    torch::NoGradGuard no_grad;
    memory::TagScope scope(MemoryTag::weights);
    std::vector<nn::Linear> originals, replacements;
    model.for_each_linear([&](nn::Linear& layer) {
        if (!layer.branch && !layer.trained) return;
        nn::Linear replacement{layer.name, {}, layer.bias, nullptr};
        if (layer.trained) {
            replacement.weight = quant::Weight::dense(expect_finite(layer.trained->weight.detach().clone(), layer.name));
            if (layer.trained->bias.defined()) replacement.bias = layer.trained->bias.detach().clone();
        } else {
            replacement.weight = quant::Weight::dense(expect_finite(merged_matrix(layer.weight, *layer.branch), layer.name));
        }
        originals.push_back(layer);
        replacements.push_back(std::move(replacement));
    });
    if (model.trained_embedding) {
        auto values = quant::Weight::dense(expect_finite(model.trained_embedding->weight.detach().clone(), model.embedding_name));
        embedding_ = std::exchange(model.embedding, std::move(values));
        trained_embedding_ = std::exchange(model.trained_embedding, nullptr);
    }
    auto replacement = replacements.begin();
    model.for_each_linear([&](nn::Linear& layer) {
        if (layer.branch || layer.trained) layer = std::move(*replacement++);
    });
    originals_ = std::move(originals);
}

void Lora::unmerge(nn::Model& model) {
    model.for_each_linear([&](nn::Linear& layer) {
        const auto original = std::ranges::find(originals_, layer.name, &nn::Linear::name);
        if (original != originals_.end()) layer = std::move(*original);
    });
    originals_.clear();
    if (trained_embedding_) {
        model.embedding = std::exchange(embedding_, {});
        model.trained_embedding = std::exchange(trained_embedding_, nullptr);
    }
}

}  // namespace qlora::adapters
