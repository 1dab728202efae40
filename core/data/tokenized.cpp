#include "core/data/tokenized.h"

#include <algorithm>
#include <numeric>

#include "core/base/error.h"
#include "core/data/fingerprint.h"
#include "core/data/tokenized_builder.h"

namespace qlora::data {

void TokenizedBuilder::add(const Sample& sample, RowIndex row) {
    auto& d = dataset_;
    d.ids_.insert(d.ids_.end(), sample.ids.begin(), sample.ids.end());
    d.trained_.insert(d.trained_.end(), sample.trained.begin(), sample.trained.end());
    d.offsets_.push_back(d.ids_.size());
    if (!sample.answer.empty()) {
        d.answers_.insert(d.answers_.end(), sample.answer.begin(), sample.answer.end());
        d.answer_offsets_.push_back(d.answers_.size());
    }
    d.labels_.insert(d.labels_.end(), sample.labels.begin(), sample.labels.end());
    d.full_lengths_.push_back(
        static_cast<std::uint32_t>(std::min<std::size_t>(sample.full_length, UINT32_MAX)));
    d.rows_.push_back(row);
    d.trained_tokens_ += static_cast<std::int64_t>(sample.targets());
    d.truncated_ += sample.truncated;
    d.longest_ = std::max(d.longest_, sample.ids.size());
}

void TokenizedBuilder::drop(const std::string& reason, RowIndex row) {
    auto& dropped = dataset_.dropped_;
    auto entry =
        std::find_if(dropped.begin(), dropped.end(), [&](const Dropped& d) { return d.reason == reason; });
    if (entry == dropped.end()) entry = dropped.insert(entry, Dropped{0, reason, {}});
    if (entry->rows++ < 10) entry->first.push_back(row);
}

std::string TokenizedBuilder::reasons() const {
    std::string list;
    for (const Dropped& d : dataset_.dropped())
        list += (list.empty() ? "" : "; ") + std::to_string(d.rows) + (d.rows == 1 ? " row: " : " rows: ") +
                d.reason;
    return list.empty() ? "there are no rows" : list;
}

TokenizedDataset TokenizedBuilder::finish() {
    auto& d = dataset_;
    d.ids_.shrink_to_fit();
    d.trained_.shrink_to_fit();
    auto hash = detail::murmur3(std::as_bytes(std::span(d.ids_)));
    hash = detail::murmur3(std::as_bytes(std::span(d.trained_)), hash);
    hash = detail::murmur3(std::as_bytes(std::span(d.offsets_)), hash);
    hash = detail::murmur3(std::as_bytes(std::span(d.rows_)), hash);
    if (!d.answers_.empty()) {
        hash = detail::murmur3(std::as_bytes(std::span(d.answers_)), hash);
        hash = detail::murmur3(std::as_bytes(std::span(d.answer_offsets_)), hash);
    }
    if (!d.labels_.empty()) hash = detail::murmur3(std::as_bytes(std::span(d.labels_)), hash);
    d.fingerprint_ = detail::hex(hash);
    return std::move(dataset_);
}

std::span<const std::int32_t> TokenizedDataset::ids(std::size_t sample) const {
    return std::span(ids_).subspan(offsets_[sample], length(sample));
}

std::span<const std::uint8_t> TokenizedDataset::trained(std::size_t sample) const {
    return std::span(trained_).subspan(offsets_[sample], length(sample));
}

std::span<const std::int32_t> TokenizedDataset::answer(std::size_t sample) const {
    if (answers_.empty()) return {};
    return std::span(answers_).subspan(answer_offsets_[sample], answer_offsets_[sample + 1] - answer_offsets_[sample]);
}

std::span<const float> TokenizedDataset::labels(std::size_t sample) const {
    const std::size_t each = rows_.empty() ? 0 : labels_.size() / rows_.size();
    return std::span(labels_).subspan(sample * each, each);
}

std::size_t TokenizedDataset::dropped_rows() const {
    return std::accumulate(dropped_.begin(), dropped_.end(), std::size_t{0},
                           [](std::size_t sum, const Dropped& dropped) { return sum + dropped.rows; });
}

TokenizedDataset TokenizedDataset::from_samples(std::span<const Sample> samples,
                                                std::span<const RowIndex> rows) {
    if (samples.size() != rows.size())
        throw input_error("data.range", "samples",
                          "expected one row for each of " + std::to_string(samples.size()) +
                              " samples, got " + std::to_string(rows.size()));
    TokenizedBuilder builder;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        if (samples[i].targets() > 0)
            builder.add(samples[i], rows[i]);
        else
            builder.drop("no token to learn", rows[i]);
    }
    return builder.finish();
}

}  // namespace qlora::data
