#include <numeric>

#include "core/base/error.h"
#include "core/data/parallel.h"
#include "core/data/tokenized_builder.h"

namespace qlora::data {

namespace {

struct Outcome {
    Sample sample;
    EmptyReason empty{};
};

std::string reason_of(const Outcome& outcome, std::size_t max_length) {
    if (outcome.sample.ids.empty()) return std::string(explain(outcome.empty));
    if (outcome.sample.truncated)
        return "no part of the answer lies within the first " + std::to_string(max_length) + " tokens";
    return "there is no token to learn";
}

}  // namespace

TokenizedDataset prepare(const Table& table, std::span<const RowIndex> rows, const Renderer& renderer,
                         const Control* control, const Progress& progress, int threads) {
    require_roles(table, renderer.roles());
    // In blocks, so that the samples of only one are in memory beside the result.
    constexpr std::size_t block = 16384;
    TokenizedBuilder builder;
    for (std::size_t begin = 0; begin < rows.size(); begin += block) {
        auto part = rows.subspan(begin, std::min(block, rows.size() - begin));
        std::vector<Outcome> outcomes(part.size());
        Progress overall = [&](const char* what, double done, double) {
            if (progress) progress(what, static_cast<double>(begin) + done, static_cast<double>(rows.size()));
        };
        detail::parallel_for(part.size(), threads, control, overall, "tokenizing", [&](std::size_t i) {
            outcomes[i].sample = renderer.render(table, part[i], &outcomes[i].empty);
        });
        for (std::size_t i = 0; i < part.size(); ++i) {
            if (outcomes[i].sample.targets() > 0)
                builder.add(outcomes[i].sample, part[i]);
            else
                builder.drop(reason_of(outcomes[i], renderer.options().max_length), part[i]);
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
