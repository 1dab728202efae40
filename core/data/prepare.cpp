#include <numeric>

#include "core/base/error.h"
#include "core/data/augment.h"
#include "core/data/parallel.h"
#include "core/data/tokenized_builder.h"

namespace qlora::data {

namespace {

struct Outcome {
    Sample sample;
    EmptyReason empty{};
    bool spared = false;  // a variant for variety that came out as the row itself
};

std::string reason_of(const Outcome& outcome, std::size_t max_length) {
    if (outcome.sample.ids.empty()) return std::string(explain(outcome.empty));
    if (outcome.sample.truncated)
        return "no part of the answer lies within the first " + std::to_string(max_length) + " tokens";
    return "there is no token to learn";
}

}  // namespace

TokenizedDataset prepare(const Table& table, std::span<const RowIndex> rows, const Renderer& renderer,
                         const Control* control, const Progress& progress, int threads, const Augmenter* augmenter) {
    require_roles(table, renderer.roles());
    const std::vector<Variant> variants = augmenter != nullptr ? augmenter->plan(table, rows, renderer) : as_they_are(rows);
    // In blocks, so that the samples of only one are in memory beside the result.
    constexpr std::size_t block = 16384;
    TokenizedBuilder builder;
    for (std::size_t begin = 0; begin < variants.size(); begin += block) {
        const auto part = std::span(variants).subspan(begin, std::min(block, variants.size() - begin));
        std::vector<Outcome> outcomes(part.size());
        Progress overall = [&](const char* what, double done, double) {
            if (progress) progress(what, static_cast<double>(begin) + done, static_cast<double>(variants.size()));
        };
        detail::parallel_for(part.size(), threads, control, overall, "tokenizing", [&](std::size_t i) {
            Outcome& outcome = outcomes[i];
            if (part[i].copy == 0) {
                outcome.sample = renderer.render(table, part[i].row, &outcome.empty);
                return;
            }
            outcome.sample = renderer.render(table, part[i].row, &outcome.empty, [&](const Example& example) {
                Example varied = augmenter->vary(example, part[i]);
                outcome.spared = varied == example && !augmenter->masks() && augmenter->spare(part[i]);
                return varied;
            });
            augmenter->mask(outcome.sample, part[i], renderer.tokenizer());
        });
        for (std::size_t i = 0; i < part.size(); ++i) {
            if (outcomes[i].spared) continue;
            if (outcomes[i].sample.targets() > 0) builder.add(outcomes[i].sample, part[i].row);
            else if (part[i].copy == 0) builder.drop(reason_of(outcomes[i], renderer.options().max_length), part[i].row);  // once a row
        }
    }
    if (builder.empty())
        throw input_error("data.no_targets", table.label(),
                          "expected something to learn in at least one of " + std::to_string(rows.size()) +
                              " rows, got none (" + builder.reasons() + ")",
                          "Check which columns hold question and answer, or raise data.max_length.");
    return builder.finish();
}

std::vector<RowIndex> all_rows(const Table& table) {
    std::vector<RowIndex> rows(table.rows());
    std::iota(rows.begin(), rows.end(), RowIndex{0});
    return rows;
}

}  // namespace qlora::data
