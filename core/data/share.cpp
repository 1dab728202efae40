#include "core/data/share.h"

#include <algorithm>
#include <numeric>

namespace qlora::data {

namespace {

std::int64_t length(const std::vector<std::int32_t>& starts, std::size_t row) {
    return starts.empty() ? 0 : std::int64_t{starts[row + 1]} - starts[row];
}

std::int64_t row_tokens(const Batch& batch, std::size_t row) { return length(batch.starts, row) + length(batch.answer_starts, row); }

// Which rank takes each row; `load` is the tokens that each has by now.
std::vector<int> takers(const Batch& batch, std::vector<std::int64_t>& load) {
    std::vector<std::size_t> longest_first(batch.rows.size());
    std::iota(longest_first.begin(), longest_first.end(), std::size_t{0});
    std::stable_sort(longest_first.begin(), longest_first.end(),
                     [&](auto a, auto b) { return row_tokens(batch, a) > row_tokens(batch, b); });
    std::vector<int> taker(batch.rows.size());
    for (const auto row : longest_first) {
        const auto idlest = std::min_element(load.begin(), load.end());
        *idlest += row_tokens(batch, row);
        taker[row] = static_cast<int>(idlest - load.begin());
    }
    return taker;
}

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from, std::int64_t begin, std::int64_t count) {
    if (!from.empty()) to.insert(to.end(), from.begin() + begin, from.begin() + begin + count);
}

void append_row(Batch& to, const Batch& from, std::size_t row) {
    const std::int64_t begin = from.starts[row], count = length(from.starts, row);
    to.starts.push_back(static_cast<std::int32_t>(to.ids.size()));
    append(to.ids, from.ids, begin, count);
    append(to.types, from.types, begin, count);
    append(to.positions, from.positions, begin, count);
    if (from.answer_starts.empty()) {
        append(to.targets, from.targets, begin, count);
    } else {
        to.answer_starts.push_back(static_cast<std::int32_t>(to.targets.size()));
        append(to.targets, from.targets, from.answer_starts[row], length(from.answer_starts, row));
    }
    const auto labels = static_cast<std::int64_t>(from.labels.size() / from.rows.size());
    append(to.labels, from.labels, static_cast<std::int64_t>(row) * labels, labels);
    to.rows.push_back(from.rows[row]);
}

}  // namespace

std::vector<Batch> share(std::span<const Batch> step, int rank, int size) {
    std::vector<std::int64_t> load(static_cast<std::size_t>(size));
    std::vector<Batch> shares;
    for (const Batch& batch : step) {
        const auto taker = takers(batch, load);
        Batch& mine = shares.emplace_back();
        for (std::size_t row = 0; row < batch.rows.size(); ++row)
            if (taker[row] == rank) append_row(mine, batch, row);
        mine.starts.push_back(static_cast<std::int32_t>(mine.ids.size()));
        if (!batch.answer_starts.empty()) mine.answer_starts.push_back(static_cast<std::int32_t>(mine.targets.size()));
    }
    return shares;
}

}  // namespace qlora::data
