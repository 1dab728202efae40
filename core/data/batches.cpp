#include "core/data/batches.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/base/error.h"
#include "core/base/random.h"

namespace qlora::data {

std::int64_t Batch::tokens() const {
    return static_cast<std::int64_t>(ids.size() + (answer_starts.empty() ? 0 : targets.size()));
}

std::int64_t Batch::trained_tokens() const {
    if (!labels.empty()) return static_cast<std::int64_t>(rows.size());
    return std::count_if(targets.begin(), targets.end(),
                         [](std::int32_t target) { return target != ignored_target; });
}

Batch make_batch(const TokenizedDataset& dataset, std::span<const std::uint32_t> samples) {
    std::size_t total = 0;
    for (auto sample : samples) total += dataset.length(sample) + dataset.answer(sample).size();
    if (total > INT32_MAX)
        throw input_error("data.batches", "train.batch_size",
                          "expected less than 2^31 tokens in a batch, got " + std::to_string(total));
    Batch batch;
    batch.ids.reserve(total);
    batch.targets.reserve(total);
    batch.positions.reserve(total);
    for (auto sample : samples) {
        auto ids = dataset.ids(sample);
        auto trained = dataset.trained(sample);
        auto answer = dataset.answer(sample);
        auto labels = dataset.labels(sample);
        batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
        batch.rows.push_back(dataset.row(sample));
        batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
        for (std::size_t i = 0; i < ids.size(); ++i) {
            bool target = i + 1 < ids.size() && trained[i + 1] != 0;
            if (answer.empty()) batch.targets.push_back(target ? ids[i + 1] : ignored_target);
            batch.positions.push_back(static_cast<std::int32_t>(i));
        }
        if (!answer.empty()) {
            batch.answer_starts.push_back(static_cast<std::int32_t>(batch.targets.size()));
            batch.targets.insert(batch.targets.end(), answer.begin(), answer.end());
        }
        batch.labels.insert(batch.labels.end(), labels.begin(), labels.end());
    }
    batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
    if (!batch.answer_starts.empty()) batch.answer_starts.push_back(static_cast<std::int32_t>(batch.targets.size()));
    return batch;
}

namespace {

constexpr std::size_t window = 1024;

std::vector<std::uint32_t> sample_order(std::size_t samples, bool shuffle, RandomStream& random) {
    if (shuffle) return random.permutation(static_cast<std::uint32_t>(samples));
    std::vector<std::uint32_t> order(samples);
    std::iota(order.begin(), order.end(), 0u);
    return order;
}

using Bin = std::vector<std::uint32_t>;

// First-fit decreasing of one window; inside a bin samples keep the order in which they were drawn.
void pack(std::span<const std::uint32_t> drawn, const TokenizedDataset& dataset, std::size_t capacity,
          std::vector<Bin>& bins) {
    std::vector<std::uint32_t> places(drawn.size());
    std::iota(places.begin(), places.end(), 0u);
    std::stable_sort(places.begin(), places.end(),
                     [&](auto a, auto b) { return dataset.length(drawn[a]) > dataset.length(drawn[b]); });
    std::size_t first = bins.size();
    std::vector<std::size_t> room;
    for (auto place : places) {
        std::size_t length = dataset.length(drawn[place]);
        auto fit = static_cast<std::size_t>(
            std::find_if(room.begin(), room.end(), [&](std::size_t left) { return left >= length; }) -
            room.begin());
        if (fit == room.size()) {
            room.push_back(std::max(capacity, length));
            bins.emplace_back();
        }
        room[fit] -= length;
        bins[first + fit].push_back(place);
    }
    for (std::size_t i = first; i < bins.size(); ++i) {
        std::sort(bins[i].begin(), bins[i].end());
        for (auto& place : bins[i]) place = drawn[place];
    }
}

std::int64_t ceil_divide(std::int64_t a, std::int64_t b) {
    return a / b + (a % b != 0);
}

void check(const BatchOptions& options) {
    auto require = [](bool good, const char* field, const char* expected, std::int64_t got) {
        if (!good)
            throw input_error("data.batches", field,
                              std::string("expected ") + expected + ", got " + std::to_string(got));
    };
    require(options.batch_size >= 1, "train.batch_size", "at least 1", options.batch_size);
    require(options.accumulate >= 1, "train.accumulate", "at least 1", options.accumulate);
    require(options.bin_tokens >= 0, "bin_tokens", "at least 0", options.bin_tokens);
}

}  // namespace

EpochPlan::EpochPlan(const TokenizedDataset& dataset, const BatchOptions& options, std::int64_t epoch)
    : accumulate_(options.accumulate) {
    check(options);
    RandomStream random(options.seed, "shuffle/" + std::to_string(epoch));
    auto drawn = sample_order(dataset.size(), options.shuffle, random);
    auto batch_size = static_cast<std::size_t>(options.batch_size);
    if (options.bin_tokens == 0) {
        order_ = std::move(drawn);
        for (std::size_t begin = 0; begin < order_.size(); begin = starts_.back())
            starts_.push_back(begin + std::min(batch_size, order_.size() - begin));
        return;
    }
    std::vector<Bin> bins;
    for (std::size_t begin = 0; begin < drawn.size(); begin += window)
        pack(std::span(drawn).subspan(begin, std::min(window, drawn.size() - begin)), dataset,
             static_cast<std::size_t>(options.bin_tokens), bins);
    auto bin_order = sample_order(bins.size(), options.shuffle, random);
    order_.reserve(drawn.size());
    for (std::size_t i = 0; i < bin_order.size(); ++i) {
        const Bin& bin = bins[bin_order[i]];
        order_.insert(order_.end(), bin.begin(), bin.end());
        if ((i + 1) % batch_size == 0 || i + 1 == bin_order.size()) starts_.push_back(order_.size());
    }
}

std::span<const std::uint32_t> EpochPlan::samples(std::int64_t micro_batch) const {
    auto i = static_cast<std::size_t>(micro_batch);
    return std::span(order_).subspan(starts_[i], starts_[i + 1] - starts_[i]);
}

Json to_json(const Position& position) {
    return {{"epoch", position.epoch}, {"index", position.index}};
}

Position position_from_json(const Json& json, const std::string& where) {
    JsonObject object(json, where);
    return {object.integer("epoch", 0, INT64_MAX), object.integer("index", 0, INT64_MAX)};
}

BatchSampler::BatchSampler(const TokenizedDataset& dataset, BatchOptions options)
    : dataset_(&dataset), options_(options) {
    check(options_);
    if (dataset.size() == 0)
        throw input_error("data.batches", "data", "expected samples to train on, got none");
}

const EpochPlan& BatchSampler::plan(std::int64_t epoch) const {
    if (planned_ != epoch) {
        plan_.emplace(*dataset_, options_, epoch);
        planned_ = epoch;
    }
    return *plan_;
}

std::int64_t BatchSampler::steps_in_epoch(std::int64_t epoch) const {
    if (options_.bin_tokens == 0)
        return ceil_divide(ceil_divide(static_cast<std::int64_t>(dataset_->size()), options_.batch_size),
                           options_.accumulate);
    if (planned_ == epoch) return plan_->steps();
    return EpochPlan(*dataset_, options_, epoch).steps();
}

std::int64_t BatchSampler::steps(double epochs) const {
    if (!std::isfinite(epochs) || epochs < 0 || epochs > 1e6)
        throw input_error("data.batches", "train.epochs",
                          "expected a number from 0 to 1000000, got " + std::to_string(epochs));
    auto whole = static_cast<std::int64_t>(epochs);
    double part = epochs - static_cast<double>(whole);
    std::int64_t steps = 0;
    for (std::int64_t epoch = 0; epoch < whole; ++epoch) steps += steps_in_epoch(epoch);
    // 1e-9: 0.1 of 10 steps is one step, not two, whatever binary fractions make of it.
    if (part > 0)
        steps +=
            static_cast<std::int64_t>(std::ceil(part * static_cast<double>(steps_in_epoch(whole)) - 1e-9));
    return steps;
}

Batch BatchSampler::next() {
    const EpochPlan& current = plan(position_.epoch);
    Batch batch = make_batch(*dataset_, current.samples(position_.index));
    if (++position_.index == current.micro_batches()) position_ = {position_.epoch + 1, 0};
    return batch;
}

std::vector<Batch> BatchSampler::next_step() {
    std::vector<Batch> step;
    do step.push_back(next());
    while (position_.index % options_.accumulate != 0);
    return step;
}

void BatchSampler::seek(Position position) {
    auto refuse = [&](std::int64_t last) {
        throw input_error("data.position", "checkpoint",
                          "expected a micro-batch from 0 to " + std::to_string(last) + " of epoch " +
                              std::to_string(position.epoch) + ", got " + std::to_string(position.index),
                          "The data set or the batch size has changed since.");
    };
    if (position.epoch < 0 || position.index < 0) refuse(0);
    std::int64_t count = plan(position.epoch).micro_batches();
    if (position.index > count) refuse(count);
    position_ = position.index == count ? Position{position.epoch + 1, 0} : position;
}

double BatchSampler::epochs_done() const {
    return static_cast<double>(position_.epoch) +
           static_cast<double>(position_.index) / static_cast<double>(plan(position_.epoch).micro_batches());
}

}  // namespace qlora::data
