// What stands behind the blocks: the head of a language model or of a classifier, and its loss.
#include <torch/torch.h>

#include <numeric>

#include "core/base/error.h"
#include "core/memory/meters.h"
#include "core/nn/functions/head.h"
#include "core/nn/model.h"

namespace qlora::nn {

using torch::Tensor;
using Kind = HeadConfig::Kind;

namespace {

data::Batch one_row(const Input& input) {
    data::Batch batch;
    batch.ids = input.ids;
    batch.types = input.types;
    batch.positions.resize(input.ids.size());
    std::iota(batch.positions.begin(), batch.positions.end(), 0);
    batch.starts = {0, static_cast<std::int32_t>(input.ids.size())};
    batch.rows = {0};
    if (!input.decoder_ids.empty()) {  // the answer whose shifted form is decoder_ids
        batch.targets.assign(input.decoder_ids.begin() + 1, input.decoder_ids.end());
        batch.targets.push_back(data::ignored_target);
        batch.answer_starts = {0, static_cast<std::int32_t>(input.decoder_ids.size())};
    }
    return batch;
}

// Where in a pack the states lie that a classifier reads.
Tensor pooled_rows(const std::vector<std::int32_t>& starts, HeadConfig::Pooling pooling) {
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i + 1 < starts.size(); ++i)
        rows.push_back(pooling == HeadConfig::Pooling::first ? starts[i] : starts[i + 1] - 1);
    return torch::tensor(rows, torch::kInt64);
}

[[noreturn]] void no_head(const char* wanted) {
    throw input_error("model.head", "model", std::string("this model has no ") + wanted, "Choose a model with one, or another task.");
}

}  // namespace

Tensor Model::head_input(const Tensor& x, DropoutKey key) const {
    key.block = encoder.blocks.size() + stack.blocks.size();
    const Tensor states = base_dropped(normed(x, stack.final_norm), config.dropout.final_norm, key, DropoutSite::final_norm);
    return config.head_scale == 1 ? states : states * config.head_scale;
}

Tensor Model::head_logits(const Tensor& x) const {
    Tensor logits = head(head_input(x), {}, arithmetic).to(torch::kFloat32);
    return config.logit_softcap > 0 ? (logits / config.logit_softcap).tanh() * config.logit_softcap : logits;
}

Tensor Model::class_logits(const data::Batch& batch, const DropoutKey& key) const {
    if (config.head.kind != Kind::classifier) no_head("classifier");
    Tensor states = hidden(batch, key);
    memory::TagScope scope(MemoryTag::activations);
    Tensor x = normed(states.index_select(0, pooled_rows(batch.starts, config.head.pooling).to(device())), stack.final_norm);
    if (config.head.dense) {
        x = base_dropped(x, config.dropout.classifier_dense, key, DropoutSite::classifier_dense);
        x = differentiable({.kind = Source::Kind::activation, .x = head_dense(x, key, arithmetic), .activation = config.head.activation});
    }
    x = base_dropped(x, config.dropout.classifier, key, DropoutSite::classifier);
    return head(x, key, arithmetic).to(torch::kFloat32);
}

Tensor Model::class_loss_sum(const Tensor& logits, const data::Batch& batch, const DropoutKey& key) const {
    const auto rows = static_cast<std::int64_t>(batch.rows.size()), given = static_cast<std::int64_t>(batch.labels.size());
    const bool single = config.head.problem == recipe::ProblemType::single_label;
    if (given != rows * (single ? 1 : logits.size(1)))
        throw failure("model.labels", "labels", "expected " + std::to_string(rows * (single ? 1 : logits.size(1))) + " labels for " +
                                                    std::to_string(rows) + " rows, got " + std::to_string(given));
    const Tensor labels = torch::tensor(c10::ArrayRef<float>(batch.labels), torch::kFloat32).view({rows, -1}).to(logits.device());
    switch (config.head.problem) {
        case recipe::ProblemType::regression: return (logits - labels).square().mean(1).sum();
        case recipe::ProblemType::multi_label:
            return at::binary_cross_entropy_with_logits(logits, labels, {}, {}, at::Reduction::None).mean(1).sum();
        default: break;
    }
    return at::cross_entropy_loss(logits, labels.view({-1}).to(torch::kInt64), {}, at::Reduction::Sum, -100, key.training ? label_smoothing : 0);
}

Tensor Model::loss_sum(const data::Batch& batch, const DropoutKey& key) const {
    if (config.head.kind == Kind::classifier) return class_loss_sum(class_logits(batch, key), batch, key);
    if (config.head.kind == Kind::none) no_head("head to train with");
    std::vector<std::int64_t> rows, targets;
    for (std::size_t i = 0; i < batch.targets.size(); ++i) {
        if (batch.targets[i] == data::ignored_target) continue;
        if (batch.targets[i] < 0 || batch.targets[i] >= config.vocabulary)
            throw input_error("model.token", "token " + std::to_string(batch.targets[i]),
                              "a target token is outside the model's vocabulary of " + std::to_string(config.vocabulary));
        rows.push_back(static_cast<std::int64_t>(i));
        targets.push_back(batch.targets[i]);
    }
    Tensor states = hidden(batch, key);
    memory::TagScope scope(MemoryTag::activations);
    Tensor asked = head_input(states.index_select(0, torch::tensor(rows, torch::kInt64).to(device())), key);
    const Tensor wanted = torch::tensor(targets, torch::kInt64).to(device());
    const LossRule rule{config.logit_softcap, key.training ? label_smoothing : 0};
    const LinearParts parts = head.parts();
    if (parts.trained != nullptr || (parts.bias.defined() && parts.bias.requires_grad())) return trained_head_loss(asked, wanted, parts, rule);
    return head_loss(asked, head.weight, parts.bias, wanted, head.branch.get(), rule, arithmetic);
}

Tensor Model::logits(const Input& input) const {
    torch::NoGradGuard no_grad;
    if (config.head.kind == Kind::none) no_head("head that gives logits: it is an encoder alone");
    if (config.head.kind == Kind::classifier) return class_logits(one_row(input)).squeeze(0).cpu();
    return head_logits(hidden(one_row(input))).cpu();
}

States Model::hidden_states(const Input& input) const {
    torch::NoGradGuard no_grad;
    States states;
    Tensor last = hidden(one_row(input), {}, &states);
    states.stack.push_back(normed(last, stack.final_norm));
    return states;
}

}  // namespace qlora::nn
