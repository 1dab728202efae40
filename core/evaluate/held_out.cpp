#include "core/evaluate/held_out.h"

#include <torch/torch.h>

#include <cmath>

#include "core/base/error.h"

namespace qlora::evaluate {

double HeldOutLoss::perplexity() const { return std::exp(loss); }

HeldOutLoss held_out_loss(const nn::Model& model, const data::TokenizedDataset& dataset, Control& control,
                          const Progress& progress) {
    constexpr std::size_t tokens_a_batch = 1024;
    torch::NoGradGuard no_grad;
    HeldOutLoss result;
    double sum = 0;
    for (std::size_t first = 0; first < dataset.size();) {
        control.check();
        if (progress) progress("Evaluating", static_cast<double>(first), static_cast<double>(dataset.size()));
        std::vector<std::uint32_t> samples;
        std::size_t tokens = 0;
        for (; first < dataset.size() && (samples.empty() || tokens + dataset.length(first) <= tokens_a_batch); ++first) {
            samples.push_back(static_cast<std::uint32_t>(first));
            tokens += dataset.length(first);
        }
        const auto batch = data::make_batch(dataset, samples);
        sum += model.loss_sum(batch).item<double>();
        result.tokens += batch.trained_tokens();
        result.rows += static_cast<std::int64_t>(samples.size());
    }
    if (result.tokens == 0)
        throw input_error("evaluate.empty", "data", "no held-out token to measure the loss on", "Add rows with answers.");
    result.loss = sum / static_cast<double>(result.tokens);
    return result;
}

std::string answer(const LoadedModel& model, const Part& part, const data::Renderer& renderer, data::RowIndex row,
                   std::int64_t max_tokens, Control& control) {
    const auto prompt = renderer.render_prompt(*part.table, row);
    const auto generated = nn::generate(model.network, prompt, max_tokens, model.stop_ids, {}, control);
    return model.tokenizer->decode(generated.ids, true);
}

std::vector<data::RowIndex> pick_questions(const Part& part, const data::Renderer& renderer, std::int64_t count) {
    std::vector<data::RowIndex> rows;
    if (renderer.roles().layout == data::ColumnRoles::Layout::text) return rows;
    const auto all = static_cast<std::int64_t>(part.rows.size());
    count = std::min(count, all);
    for (std::int64_t i = 0; i < count; ++i) {
        const auto row = part.rows[static_cast<std::size_t>(i * all / count)];
        if (!renderer.prompt_text(*part.table, row).empty()) rows.push_back(row);
    }
    return rows;
}

}  // namespace qlora::evaluate
