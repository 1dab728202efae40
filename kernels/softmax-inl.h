// The parts of a softmax over a row, in vectors. Included once per instruction set.

#if defined(QLORA_KERNELS_SOFTMAX_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef QLORA_KERNELS_SOFTMAX_INL_H
#undef QLORA_KERNELS_SOFTMAX_INL_H
#else
#define QLORA_KERNELS_SOFTMAX_INL_H
#endif

// clang-format off
#include "kernels/half-inl.h"
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {

// The sum of exp(scale values[i] - largest) over [begin, end); NaN where a value is. Where `out` is a pointer it gets them, and
// zeros at the places outside [begin, end) of n; it may be `values`.
template <class Out>
HWY_INLINE float exponentials(const float* values, std::int64_t begin, std::int64_t end, std::int64_t n, float scale, float largest, Out out) {
    constexpr bool stores = !std::is_same_v<Out, std::nullptr_t>;
    if constexpr (stores) {
        std::fill(out, out + begin, 0);
        std::fill(out + end, out + n, 0);
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
            if constexpr (stores) store_part(e, out + i, lanes);
            part = hn::Add(part, e);
            nothing = hn::MulAdd(x, hn::Zero(floats), nothing);  // NaN where a score is: its exponential would be 0
        }
        sums = hn::Add(sums, part);
    }
    float sum = sum_of(hn::Add(sums, nothing));
    for (; i < end; ++i) {
        sum += values[i] * 0;
        const Vector e = hn::Exp(floats, hn::Set(floats, values[i] * scale - largest));
        sum += hn::GetLane(e);
        if constexpr (stores) store_part(e, out + i, 1);
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
