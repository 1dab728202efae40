#pragma once
// Training steps on given batches, through the engine's own parts: for comparison with trajectories of the peers.

#include "core/adapters/attach.h"
#include "core/base/json.h"
#include "core/nn/model.h"
#include "core/train/adamw.h"
#include "core/train/schedule.h"

namespace qlora::tests {

// {"input_ids": [[...]], "labels": ..., "attention_mask": [[...]] (optional, padding at the right)} -> packed rows. Labels:
// a list a row, -100 where not trained on; of an encoder-decoder its answers; for a classifier one class a row.
inline data::Batch to_batch(const Json& json, const nn::ModelConfig& config) {
    const bool classifies = config.head.kind == nn::HeadConfig::Kind::classifier;
    data::Batch batch;
    batch.starts = {0};
    if (config.encoder_decoder()) batch.answer_starts = {0};
    for (std::size_t row = 0; row < json["input_ids"].size(); ++row) {
        const auto ids = json["input_ids"][row].get<std::vector<std::int32_t>>();
        std::size_t length = ids.size();
        if (json.contains("attention_mask")) {
            length = 0;
            for (int on : json["attention_mask"][row]) length += static_cast<std::size_t>(on);
        }
        std::vector<std::int32_t> labels;
        if (classifies) batch.labels.push_back(json["labels"][row].get<float>());
        else labels = json["labels"][row].get<std::vector<std::int32_t>>();
        for (std::size_t i = 0; i < length; ++i) {
            batch.ids.push_back(ids[i]);
            batch.positions.push_back(static_cast<std::int32_t>(i));
            if (!classifies && !config.encoder_decoder()) batch.targets.push_back(i + 1 < length ? labels[i + 1] : data::ignored_target);
        }
        batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
        batch.rows.push_back(static_cast<data::RowIndex>(row));
        if (!config.encoder_decoder()) continue;
        while (!labels.empty() && labels.back() == data::ignored_target) labels.pop_back();  // padding
        batch.targets.insert(batch.targets.end(), labels.begin(), labels.end());
        batch.answer_starts.push_back(static_cast<std::int32_t>(batch.targets.size()));
    }
    return batch;
}

// The loss of each step, under the recipe's optimizer, schedule, label smoothing and limit of the gradient's norm.
inline std::vector<double> train_on(nn::Model& model, adapters::Adapter& adapter, const Json& batches, const recipe::Train& options) {
    std::vector<train::Part> parts;
    for (const auto& named : adapter.tensors()) parts.push_back({named.tensor.size(0), named.tensor.dim() > 1 ? named.tensor.size(1) : 1, 1});
    const auto optimizer = train::make_optimizer(parts, options);
    const train::LearningRate rate(options, static_cast<std::int64_t>(batches.size()));
    model.label_smoothing = options.label_smoothing;
    std::vector<double> losses;
    for (const auto& json : batches) {
        const auto batch = to_batch(json, model.config);
        torch::Tensor loss = model.loss_sum(batch, {.training = options.label_smoothing > 0}) / static_cast<double>(batch.trained_tokens());
        loss.backward();
        const double scale = train::clip(adapter.gradients(), options.max_grad_norm).scale;
        optimizer->step(adapter.values(), adapter.gradients(), rate.at(static_cast<std::int64_t>(losses.size())), scale);
        adapter.gradients().zero_();
        losses.push_back(loss.item<double>());
    }
    return losses;
}

// AdamW at a constant rate.
inline std::vector<double> train_on(nn::Model& model, adapters::Adapter& adapter, const Json& batches, double learning_rate, double weight_decay,
                                    double limit) {
    recipe::Train options;
    options.schedule = recipe::Schedule::constant;
    options.warmup = 0;
    options.learning_rate = learning_rate;
    options.weight_decay = weight_decay;
    options.max_grad_norm = limit;
    return train_on(model, adapter, batches, options);
}

}  // namespace qlora::tests
