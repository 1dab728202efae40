#include "core/evaluate/measure.h"

#include <torch/torch.h>

#include <cmath>
#include <cstdio>

#include "core/base/error.h"

namespace qlora::evaluate {

using recipe::ProblemType;
using torch::Tensor;

namespace {

// Rows laid into one batch until they have so many tokens.
constexpr std::size_t tokens_a_batch = 1024;

std::int64_t best(const float* logits, std::int64_t labels) { return std::max_element(logits, logits + labels) - logits; }

bool likely(float logit) { return logit > 0; }  // a probability above one half

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4g", value);
    return text;
}

// Logits and labels of all rows, [rows, labels] each (one label a row where it is a class).
class ClassifierFigures {
  public:
    explicit ClassifierFigures(const nn::HeadConfig& head) : head_(head) {}

    void add(const Tensor& logits, const std::vector<float>& labels) {
        const Tensor flat = logits.cpu().contiguous();
        logits_.insert(logits_.end(), flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel());
        labels_.insert(labels_.end(), labels.begin(), labels.end());
    }

    // Rows that another process measures: zeros, so that the sum over all processes is whole.
    void leave_out(std::size_t rows, const std::vector<float>& labels) {
        logits_.insert(logits_.end(), rows * static_cast<std::size_t>(width()), 0.0f);
        labels_.insert(labels_.end(), labels.begin(), labels.end());
    }
    void sum_over(parallel::Group& group) {
        Tensor all = torch::from_blob(logits_.data(), {static_cast<std::int64_t>(logits_.size())}, torch::kFloat32);
        group.sum(all);
    }

    void fill(Measurement& result) const {
        for (std::int64_t row = 0; row < rows(); ++row) result.predictions.push_back(prediction_text(head_, logits(row)));
        switch (head_.problem) {
            case ProblemType::regression: return fill_regression(result);
            case ProblemType::multi_label: return fill_multi_label(result);
            default: return fill_classes(result);
        }
    }

  private:
    std::int64_t width() const { return head_.size(); }
    std::int64_t rows() const { return static_cast<std::int64_t>(logits_.size()) / width(); }
    const float* logits(std::int64_t row) const { return logits_.data() + row * width(); }

    void fill_classes(Measurement& result) const {
        std::vector<std::int64_t> expected, predicted;
        for (std::int64_t row = 0; row < rows(); ++row) {
            expected.push_back(std::llround(labels_[static_cast<std::size_t>(row)]));
            predicted.push_back(best(logits(row), width()));
        }
        result.classification = classification(expected, predicted, head_.labels);
        result.metrics = figures(*result.classification);
    }

    void fill_multi_label(Measurement& result) const {
        std::vector<std::uint8_t> expected, predicted;
        for (float label : labels_) expected.push_back(label > 0.5f);
        for (float logit : logits_) predicted.push_back(likely(logit));
        result.multi_label = multi_label(expected, predicted, head_.labels);
        result.metrics = figures(*result.multi_label);
    }

    void fill_regression(Measurement& result) const {
        result.regression = regression(std::vector<double>(labels_.begin(), labels_.end()), std::vector<double>(logits_.begin(), logits_.end()));
        result.metrics = figures(*result.regression);
    }

    const nn::HeadConfig& head_;
    std::vector<float> logits_, labels_;
};

// The rows of one batch from `first` on.
std::vector<std::uint32_t> batch_from(const data::TokenizedDataset& dataset, std::size_t first) {
    std::vector<std::uint32_t> samples;
    std::size_t tokens = 0;
    for (std::size_t i = first; i < dataset.size(); ++i) {
        tokens += dataset.length(i) + dataset.answer(i).size();
        if (!samples.empty() && tokens > tokens_a_batch) break;
        samples.push_back(static_cast<std::uint32_t>(i));
    }
    return samples;
}

}  // namespace

std::string prediction_text(const nn::HeadConfig& head, const float* logits) {
    if (head.problem == ProblemType::single_label) return head.labels[static_cast<std::size_t>(best(logits, head.size()))];
    std::string text;
    for (std::int64_t i = 0; i < head.size(); ++i) {
        const bool regression = head.problem == ProblemType::regression;
        if (!regression && !likely(logits[i])) continue;
        text += (text.empty() ? "" : ", ") + (regression ? number(logits[i]) : head.labels[static_cast<std::size_t>(i)]);
    }
    return text;
}

Measurement measure(const nn::Model& model, const data::TokenizedDataset& dataset, Control& control, const Progress& progress,
                    parallel::Group* group) {
    torch::NoGradGuard no_grad;
    Measurement result;
    const bool classifies = model.config.head.kind == nn::HeadConfig::Kind::classifier;
    ClassifierFigures figures(model.config.head);
    double sum = 0;
    const auto take_batches = [&] {
        std::int64_t turn = 0;
        for (std::size_t first = 0; first < dataset.size();) {
            control.check();
            if (progress) progress("Evaluating", static_cast<double>(first), static_cast<double>(dataset.size()));
            const auto samples = batch_from(dataset, first);
            first += samples.size();
            const auto batch = data::make_batch(dataset, samples);
            result.tokens += batch.trained_tokens();
            result.rows += static_cast<std::int64_t>(samples.size());
            if (group != nullptr && turn++ % group->size() != group->rank()) {
                if (classifies) figures.leave_out(samples.size(), batch.labels);
                continue;
            }
            if (classifies) {
                const Tensor logits = model.class_logits(batch);
                sum += model.class_loss_sum(logits, batch).item<double>();
                figures.add(logits, batch.labels);
            } else {
                sum += model.loss_sum(batch).item<double>();
            }
        }
    };
    if (group == nullptr) {
        take_batches();
    } else {
        group->together(control, take_batches, std::span(&sum, 1));
        if (classifies) figures.sum_over(*group);
    }
    if (result.tokens == 0)
        throw input_error("evaluate.empty", "data", "no held-out token to measure the loss on", "Add rows with answers.");
    result.loss = sum / static_cast<double>(result.tokens);
    if (classifies) figures.fill(result);
    else result.metrics["perplexity"] = std::exp(result.loss);
    return result;
}

std::map<std::string, double> answer_metrics(const std::vector<std::string>& expected, const std::vector<std::string>& given) {
    if (expected.empty()) return {};
    return {{"exact_match", exact_match(expected, given)}, {"chrf", chrf(expected, given)}};
}

std::string answer(const LoadedModel& model, const Part& part, const data::Renderer& renderer, data::RowIndex row,
                   std::int64_t max_tokens, Control& control) {
    if (model.network.config.head.kind == nn::HeadConfig::Kind::classifier) {
        const Tensor logits = model.network.logits(renderer.render(*part.table, row).ids).contiguous();
        return prediction_text(model.network.config.head, logits.const_data_ptr<float>());
    }
    const auto prompt = renderer.render_prompt(*part.table, row);
    const auto generated = nn::generate(model.network, prompt, max_tokens, model.stop_ids, {}, control);
    return model.tokenizer->decode(generated.ids, true);
}

std::vector<data::RowIndex> pick_questions(const LoadedModel& model, const Part& part, const data::Renderer& renderer, std::int64_t count) {
    std::vector<data::RowIndex> rows;
    if (renderer.roles().layout == data::ColumnRoles::Layout::text) return rows;
    if (count <= 0) return rows;
    const nn::ModelConfig& config = model.network.config;
    // A classifier's rows are cut, and an encoder-decoder answers apart from its prompt.
    const bool goes_on = config.head.kind == nn::HeadConfig::Kind::language_model && !config.encoder_decoder();
    const std::int64_t room = config.token_limit() - model.network.virtual_tokens();
    for (const auto row : spread(part.rows, count))
        if (!renderer.prompt_text(*part.table, row).empty() &&
            (!goes_on || static_cast<std::int64_t>(renderer.render_prompt(*part.table, row).size()) < room))
            rows.push_back(row);
    return rows;
}

}  // namespace qlora::evaluate
