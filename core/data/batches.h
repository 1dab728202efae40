#pragma once
// Samples in the order and grouping in which they are trained on: no padding, segments that never see each
// other.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/json.h"
#include "core/data/tokenized.h"

namespace qlora::data {

inline constexpr std::int32_t ignored_target = -100;  // PyTorch's ignore_index

// Samples laid end to end: what one forward pass takes. T tokens, S segments; in sequence to sequence the T tokens are
// those to read, and U tokens are to be given.
struct Batch {
    std::vector<std::int32_t> ids;            // [T]
    std::vector<std::int32_t> types;          // [T] token types (BERT); empty: all 0
    std::vector<std::int32_t> positions;      // [T] from 0 in every segment
    std::vector<std::int32_t> starts;         // [S + 1] where segments start, then T
    std::vector<std::int32_t> targets;        // [T] the next token of the same segment, or ignored_target; or [U]: the answers
    std::vector<std::int32_t> answer_starts;  // [S + 1] where answers start, then U; empty but for sequence to sequence
    std::vector<float> labels;                // [S, labels a row]; empty but for classification
    std::vector<RowIndex> rows;               // [S] table rows
    std::int64_t tokens() const;              // T, or T + U
    std::int64_t trained_tokens() const;      // targets that are not ignored; rows, where they are labelled
};

// The samples, in this order, as one batch.
Batch make_batch(const TokenizedDataset& dataset, std::span<const std::uint32_t> samples);

struct BatchOptions {
    std::int64_t batch_size = 8;  // samples a micro-batch; with bin_tokens, bins a micro-batch
    std::int64_t bin_tokens = 0;  // above 0: samples are packed into bins of at most so many tokens
    std::int64_t accumulate = 1;  // micro-batches an optimizer step
    bool shuffle = true;          // false: in the data set's order, every epoch (evaluation)
    std::uint64_t seed = 42;
};

// The micro-batches of one epoch, as sample indices; each sample exactly once. The last micro-batch and the
// last optimizer step may be smaller. A pure function of its arguments: RandomStream(seed,
// "shuffle/<epoch>"). Packing is first-fit decreasing (Johnson 1973) inside windows of 1,024 shuffled
// samples; bins then come in random order. A sample longer than bin_tokens gets a bin of its own.
class EpochPlan {
  public:
    EpochPlan(const TokenizedDataset& dataset, const BatchOptions& options, std::int64_t epoch);
    std::int64_t micro_batches() const { return static_cast<std::int64_t>(starts_.size()) - 1; }
    std::int64_t steps() const {
        return micro_batches() / accumulate_ + (micro_batches() % accumulate_ != 0);
    }
    std::span<const std::uint32_t> samples(std::int64_t micro_batch) const;

  private:
    std::vector<std::uint32_t> order_;
    std::vector<std::size_t> starts_{0};
    std::int64_t accumulate_;
};

// A place in the endless sequence of epochs, for checkpoints. index: micro-batches of this epoch already
// given out.
struct Position {
    std::int64_t epoch = 0, index = 0;
    bool operator==(const Position&) const = default;
};
Json to_json(const Position& position);
Position position_from_json(const Json& json, const std::string& where);

// Walks through epochs. Not for several threads at once. Keeps a reference to the data set.
class BatchSampler {
  public:
    // Throws input_error "data.batches" for an empty data set or options out of range.
    BatchSampler(const TokenizedDataset& dataset, BatchOptions options);

    std::int64_t steps_in_epoch(std::int64_t epoch) const;
    // Optimizer steps in `epochs` epochs; the last part of one is rounded up.
    std::int64_t steps(double epochs) const;

    // The micro-batches of the next optimizer step (its rest, after a seek into its middle), never across
    // epochs. Divide the summed loss by the sum of their trained tokens.
    std::vector<Batch> next_step();
    // The next micro-batch alone.
    Batch next();

    // Where the next batch comes from; an epoch's end is the next one's start.
    Position position() const { return position_; }
    // Goes on from there; the sequence that follows is the same as if never interrupted.
    // Throws input_error "data.position" when the epoch has no such place.
    void seek(Position position);
    double epochs_done() const;

  private:
    const EpochPlan& plan(std::int64_t epoch) const;

    const TokenizedDataset* dataset_;
    BatchOptions options_;
    Position position_;
    mutable std::int64_t planned_ = -1;
    mutable std::optional<EpochPlan> plan_;
};

}  // namespace qlora::data
