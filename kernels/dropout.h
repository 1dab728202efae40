#pragma once
// Dropout (Srivastava et al. 2014) by counters: whether an element is dropped is a function of its place and of a key, so
// that a mask is never kept but made again. Pure, single-threaded, no allocation, no exceptions; any thread.

#include <array>
#include <cstdint>

namespace qlora::kernels {

// What is dropped: a word below `threshold`; the rest is multiplied by `keep`.
struct DropoutRate {
    std::uint32_t threshold = 0;
    float keep = 1;  // 1 / (1 - p)
};
constexpr DropoutRate dropout_rate(double p) {
    return {static_cast<std::uint32_t>(p * 4294967295.0), static_cast<float>(1.0 / (1.0 - p))};
}

// Element i takes word i mod 4 of Philox 4x32-10 at counter (i / 4, stream...).
struct DropoutStream {
    std::array<std::uint32_t, 3> stream{};
    std::array<std::uint32_t, 2> key{};
};
// out = dropped x, fp32 [n], the first being element 4 * first_block; out may be x.
void drop(const DropoutRate& rate, const DropoutStream& stream, std::int64_t first_block, const float* x, std::int64_t n, float* out);

// Of the probabilities of one head over one sequence: that of query i and key j takes the first word of Philox 2x32-10 at
// counter (j, i), under a key of the head's own.
struct ScoreDropout {
    DropoutRate rate{};
    std::uint32_t key = 0;
    bool active() const { return rate.threshold > 0; }
};
// The factors, 0 or keep, of queries [first_query, first_query + asked) and keys [0, keys): out [asked, keys].
void score_factors(const ScoreDropout& dropout, std::int64_t first_query, std::int64_t asked, std::int64_t keys, float* out);

}  // namespace qlora::kernels
