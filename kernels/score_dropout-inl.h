// The factors of dropped probabilities, in vectors. Included once per instruction set.

#if defined(QLORA_KERNELS_SCORE_DROPOUT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef QLORA_KERNELS_SCORE_DROPOUT_INL_H
#undef QLORA_KERNELS_SCORE_DROPOUT_INL_H
#else
#define QLORA_KERNELS_SCORE_DROPOUT_INL_H
#endif

// clang-format off
#include "kernels/philox-inl.h"
#include "kernels/dropout.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {

HWY_INLINE Vector kept_or_zero(const DropoutRate& rate, WordVector word) {
    const auto drops = hn::Lt(word, hn::Set(words, rate.threshold));
    return hn::BitCast(floats, hn::IfThenZeroElse(drops, hn::BitCast(words, hn::Set(floats, rate.keep))));
}

// Of one query and `lanes` keys from `key` on, and of one key and as many queries.
HWY_INLINE Vector factors_along_keys(const ScoreDropout& d, std::int64_t query, std::int64_t key) {
    return kept_or_zero(d.rate, philox2(hn::Iota(words, static_cast<std::uint32_t>(key)), hn::Set(words, static_cast<std::uint32_t>(query)), d.key));
}
HWY_INLINE Vector factors_along_queries(const ScoreDropout& d, std::int64_t query, std::int64_t key) {
    return kept_or_zero(d.rate, philox2(hn::Set(words, static_cast<std::uint32_t>(key)), hn::Iota(words, static_cast<std::uint32_t>(query)), d.key));
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
