// The parts of a softmax over a row, in vectors. Included once per instruction set.

#if defined(QLORA_KERNELS_SOFTMAX_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef QLORA_KERNELS_SOFTMAX_INL_H
#undef QLORA_KERNELS_SOFTMAX_INL_H
#else
#define QLORA_KERNELS_SOFTMAX_INL_H
#endif

// clang-format off
#include "kernels/vectors-inl.h"
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {

// The sum of exp(scale values[i] - largest) over [begin, end); NaN where a value is. With kStore they take the
// values' places, and zeros the places outside [begin, end) of n.
template <bool kStore>
HWY_INLINE float exponentials(std::conditional_t<kStore, float, const float>* values, std::int64_t begin, std::int64_t end, std::int64_t n, float scale,
                   float largest) {
    if constexpr (kStore) {
        std::fill(values, values + begin, 0.0f);
        std::fill(values + end, values + n, 0.0f);
    }
    const Vector factor = hn::Set(floats, scale), shift = hn::Set(floats, largest);
    Vector sums = hn::Zero(floats), nothing = hn::Zero(floats);
    std::int64_t i = begin;
    while (i + lanes <= end) {
        // Sums of a part each: one that ran over a whole vocabulary would lose of each number what it is too large for.
        Vector part = hn::Zero(floats);
        for (const std::int64_t stop = std::min<std::int64_t>(end, i + 1024); i + lanes <= stop; i += lanes) {
            const Vector x = hn::LoadU(floats, values + i);
            const Vector e = hn::Exp(floats, hn::MulSub(x, factor, shift));
            if constexpr (kStore) hn::StoreU(e, floats, values + i);
            part = hn::Add(part, e);
            nothing = hn::MulAdd(x, hn::Zero(floats), nothing);  // NaN where a score is: its exponential would be 0
        }
        sums = hn::Add(sums, part);
    }
    float sum = hn::GetLane(hn::SumOfLanes(floats, hn::Add(sums, nothing)));
    for (; i < end; ++i) {
        sum += values[i] * 0;
        const float e = hn::GetLane(hn::Exp(floats, hn::Set(floats, values[i] * scale - largest)));
        sum += e;
        if constexpr (kStore) values[i] = e;
    }
    return sum;
}

// Of at least one.
HWY_INLINE float largest_of(const float* values, std::int64_t begin, std::int64_t end) {
    Vector largest = hn::Set(floats, values[begin]);
    std::int64_t i = begin;
    for (; i + lanes <= end; i += lanes) largest = hn::Max(largest, hn::LoadU(floats, values + i));
    float result = hn::GetLane(hn::MaxOfLanes(floats, largest));
    for (; i < end; ++i) result = std::max(result, values[i]);
    return result;
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
