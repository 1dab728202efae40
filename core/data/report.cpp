#include "core/data/report.h"

#include <algorithm>
#include <cmath>

#include "core/data/pace.h"

namespace qlora::data {

namespace {

std::string count(std::size_t n, const char* one, const char* many) {
    return std::to_string(n) + " " + (n == 1 ? one : many);
}

std::string percent(std::size_t part, std::size_t whole) {
    return std::to_string(static_cast<int>(
               std::lround(100.0 * static_cast<double>(part) / static_cast<double>(whole)))) +
           " %";
}

void put_into_words(DatasetReport& report) {
    auto say = [&](std::string sentence) { report.sentences.push_back(std::move(sentence)); };
    if (!report.leaks.empty())
        say(count(report.leaks.size(), "test row is", "test rows are") +
            " in the training data too: the test will look too good.");
    for (const Dropped& dropped : report.dropped)
        say(count(dropped.rows, "row is", "rows are") + " left out: " + dropped.reason + ".");
    if (report.truncated > 0)
        say(count(report.truncated, "row is", "rows are") + " cut at " +
            std::to_string(report.lengths.limit) + " tokens (" + percent(report.truncated, report.samples) +
            "); the longest has " + std::to_string(report.longest) + ".");
    if (!report.classes.empty()) {
        const auto [least, most] = std::minmax_element(report.classes.begin(), report.classes.end(),
                                                       [](const auto& a, const auto& b) { return a.second < b.second; });
        if (most->second > 4 * least->second)
            say("\"" + most->first + "\" has " + count(most->second, "row", "rows") + ", \"" + least->first + "\" only " +
                std::to_string(least->second) + ": accuracy will say little, look at macro F1.");
    }
    if (std::size_t copies =
            [&] {
                std::size_t n = 0;
                for (const auto& group : report.duplicates) n += group.size() - 1;
                return n;
            }();
        copies > 0)
        say(count(copies, "row repeats", "rows repeat") + " another one; a split keeps them on one side.");
}

}  // namespace

LengthHistogram length_histogram(const TokenizedDataset& dataset, std::size_t limit, std::size_t bins) {
    LengthHistogram histogram;
    histogram.limit = limit;
    std::size_t longest = 0;
    for (std::size_t i = 0; i < dataset.size(); ++i) longest = std::max(longest, dataset.full_length(i));
    histogram.bin_width = longest / std::max<std::size_t>(bins, 1) + 1;
    histogram.counts.assign(longest / histogram.bin_width + 1, 0);
    for (std::size_t i = 0; i < dataset.size(); ++i)
        ++histogram.counts[dataset.full_length(i) / histogram.bin_width];
    return histogram;
}

DatasetReport make_report(const Table& table, const Table* test, const Renderer& renderer,
                          const Control* control, const Progress& progress, int threads) {
    DatasetReport report;
    report.rows = table.rows();
    const ColumnRoles& roles = renderer.roles();
    report.duplicates = find_duplicates(table, roles, control, progress);
    if (test != nullptr) report.leaks = find_leaks(table, *test, roles, control, progress);
    detail::Pace pace(control, progress, "looking for empty rows", static_cast<double>(report.rows));
    for (std::size_t row = 0; row < report.rows; ++row) {
        pace.at(static_cast<double>(row));
        if (!read_example(table, row, roles)) report.empty_rows.push_back(static_cast<RowIndex>(row));
    }
    TokenizedDataset dataset = prepare(table, all_rows(table), renderer, control, progress, threads);
    report.lengths = length_histogram(dataset, renderer.options().max_length);
    report.samples = dataset.size();
    report.truncated = dataset.truncated();
    for (std::size_t i = 0; i < dataset.size(); ++i)
        report.longest = std::max(report.longest, dataset.full_length(i));
    report.tokens = dataset.tokens();
    report.trained_tokens = dataset.trained_tokens();
    report.mean_tokens = static_cast<double>(report.tokens) / static_cast<double>(report.samples);
    report.mean_trained_tokens =
        static_cast<double>(report.trained_tokens) / static_cast<double>(report.samples);
    report.dropped = dataset.dropped();
    if (const auto& labels = renderer.options().labels) {
        const auto counts = class_counts(table, all_rows(table), roles, *labels);
        for (std::size_t i = 0; i < counts.size(); ++i) report.classes.emplace_back(labels->names[i], counts[i]);
    }
    put_into_words(report);
    return report;
}

}  // namespace qlora::data
