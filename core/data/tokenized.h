#pragma once
// All samples of a data set, tokenized once and held in two contiguous buffers.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/data/renderer.h"
#include "core/data/split.h"

namespace qlora::data {

class Augmenter;

struct Dropped {
    std::size_t rows = 0;
    std::string reason;           // for people: "the answer is empty"
    std::vector<RowIndex> first;  // up to ten of them
};

// An immutable value; any thread may read.
class TokenizedDataset {
  public:
    std::size_t size() const { return rows_.size(); }
    std::span<const std::int32_t> ids(std::size_t sample) const;
    std::span<const std::uint8_t> trained(std::size_t sample) const;
    // See Sample. The same number of labels for every sample.
    std::span<const std::int32_t> answer(std::size_t sample) const;
    std::span<const float> labels(std::size_t sample) const;
    std::size_t length(std::size_t sample) const { return offsets_[sample + 1] - offsets_[sample]; }
    std::size_t full_length(std::size_t sample) const { return full_lengths_[sample]; }
    RowIndex row(std::size_t sample) const { return rows_[sample]; }  // in the table it came from

    std::int64_t tokens() const { return static_cast<std::int64_t>(ids_.size() + answers_.size()); }
    std::int64_t trained_tokens() const { return trained_tokens_; }
    std::size_t truncated() const { return truncated_; }  // kept samples that were cut
    std::size_t longest() const { return longest_; }      // tokens, after the cut
    const std::vector<Dropped>& dropped() const { return dropped_; }
    std::size_t dropped_rows() const;
    // 32 hex digits over ids, masks, answers, labels and rows: equal for equal content on every machine.
    const std::string& fingerprint() const { return fingerprint_; }

    // Joins samples made elsewhere (tests, other tasks); sample i is row rows[i]. Samples without a target
    // are dropped.
    static TokenizedDataset from_samples(std::span<const Sample> samples, std::span<const RowIndex> rows);

  private:
    friend class TokenizedBuilder;
    std::vector<std::int32_t> ids_;
    std::vector<std::uint8_t> trained_;
    std::vector<std::uint64_t> offsets_{0};
    std::vector<std::int32_t> answers_;
    std::vector<std::uint64_t> answer_offsets_{0};  // stays as it is where there are no answers
    std::vector<float> labels_;
    std::vector<std::uint32_t> full_lengths_;
    std::vector<RowIndex> rows_;
    std::vector<Dropped> dropped_;
    std::int64_t trained_tokens_ = 0;
    std::size_t truncated_ = 0, longest_ = 0;
    std::string fingerprint_;
};

// Renders `rows` of the table on `threads` threads (0: all cores), in their order whatever the threads. Rows
// with nothing to learn from are dropped and counted. Throws input_error "data.no_targets", saying how many
// and why, when none is left; what Renderer::render throws, for the first such row; stopped() within 100 ms.
// `augmenter`, where given, adds its variants behind the rows; those that came out as the row itself are left out, but for
// balance.
TokenizedDataset prepare(const Table& table, std::span<const RowIndex> rows, const Renderer& renderer,
                         const Control* control = nullptr, const Progress& progress = {}, int threads = 0,
                         const Augmenter* augmenter = nullptr);
std::vector<RowIndex> all_rows(const Table& table);

}  // namespace qlora::data
