#pragma once
// The figures of a task on rows that were not trained on.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/evaluate/loaded_model.h"
#include "core/evaluate/metrics.h"
#include "core/evaluate/run_data.h"
#include "core/parallel/group.h"

namespace qlora::evaluate {

struct Measurement {
    double loss = 0;  // mean over the trained tokens, or over the rows of a classifier
    std::int64_t rows = 0, tokens = 0;  // tokens: what the loss is the mean over
    // By task: perplexity; of a classifier what figures() gives.
    std::map<std::string, double> metrics;
    std::optional<Classification> classification;
    std::optional<MultiLabel> multi_label;
    std::optional<Regression> regression;
    std::vector<std::string> predictions;  // of a classifier, one a row of the data set
};

// No gradients, no dropout. Throws input_error when there is nothing to measure; polls the thread's PollScope and
// `control`. The processes of a group share the rows, and each gets the whole result.
Measurement measure(const nn::Model& model, const data::TokenizedDataset& dataset, Control& control, const Progress& progress = {},
                    parallel::Group* group = nullptr);

// What the logits [labels] say in words: the best label; all that are more likely than not (none: ""); the value.
std::string prediction_text(const nn::HeadConfig& head, const float* logits);

// exact_match and chrf of answers to what was expected.
std::map<std::string, double> answer_metrics(const std::vector<std::string>& expected, const std::vector<std::string>& given);

// The model's greedy answer to a row's question; a classifier's prediction for its text.
std::string answer(const LoadedModel& model, const Part& part, const data::Renderer& renderer, data::RowIndex row,
                   std::int64_t max_tokens, Control& control);

// Of `count` rows spread evenly over the part those that ask something and leave the model's context room for an answer; none for
// plain text.
std::vector<data::RowIndex> pick_questions(const LoadedModel& model, const Part& part, const data::Renderer& renderer, std::int64_t count);

}  // namespace qlora::evaluate
