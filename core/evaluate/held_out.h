#pragma once
// Loss on rows that were not trained on, and answers to their questions.

#include "core/data/batches.h"
#include "core/evaluate/loaded_model.h"
#include "core/evaluate/run_data.h"

namespace qlora::evaluate {

struct HeldOutLoss {
    double loss = 0;  // mean of -log p over the trained tokens, nats
    std::int64_t rows = 0, tokens = 0;
    double perplexity() const;
};

// No gradients, no dropout. Throws input_error when there is nothing to measure; polls the thread's PollScope and
// `control`.
HeldOutLoss held_out_loss(const nn::Model& model, const data::TokenizedDataset& dataset, Control& control,
                          const Progress& progress = {});

// The model's greedy answer to a row's question.
std::string answer(const LoadedModel& model, const Part& part, const data::Renderer& renderer, data::RowIndex row,
                   std::int64_t max_tokens, Control& control);

// `count` rows spread evenly over the part's rows that ask something; none for plain text.
std::vector<data::RowIndex> pick_questions(const Part& part, const data::Renderer& renderer, std::int64_t count);

}  // namespace qlora::evaluate
