#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/code_tables.h"
#include "kernels/quantize.h"
#include "kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/scale_search.cpp"
#include <hwy/foreach_target.h>

#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

void search_array(Code code, const float* x, std::int64_t n, std::int64_t block, float* scales) {
    reference::search_scales(code, x, n, block, scales);
}

#else

// The squared error of a block at a scale, in squares of that scale, and the scale that least squares gives its codes.
struct Fit {
    float error, scale;
};

// A level is the lowest one and the steps of all thresholds below the value.
class Book {
  public:
    explicit Book(Code code) {
        const Thresholds& by = thresholds(code);
        const auto level = [&](int rank) { return levels(code)[by.code_of_rank[static_cast<std::size_t>(rank)]]; };
        lowest_ = level(0);
        for (int k = 0; k < 15; ++k) {
            if (level(k + 1) == level(k) || std::isinf(by.bounds[static_cast<std::size_t>(k)])) continue;
            bounds_[count_] = by.bounds[static_cast<std::size_t>(k)];
            steps_[count_++] = level(k + 1) - level(k);
        }
    }

    Fit fit(const float* x, std::int64_t n, float scale) const {
        const float reciprocal = 1 / scale;
        const Vector factor = hn::Set(floats, reciprocal);
        Vector errors = hn::Zero(floats), along = hn::Zero(floats), squares = hn::Zero(floats);
        std::int64_t i = 0;
        for (; i + lanes <= n; i += lanes) {
            const Vector u = hn::Mul(hn::LoadU(floats, x + i), factor);
            Vector level = hn::Set(floats, lowest_);
            for (int k = 0; k < count_; ++k)
                level = hn::Add(level, hn::IfThenElseZero(hn::Gt(u, hn::Set(floats, bounds_[k])), hn::Set(floats, steps_[k])));
            const Vector off = hn::Sub(u, level);
            errors = hn::MulAdd(off, off, errors);
            along = hn::MulAdd(u, level, along);
            squares = hn::MulAdd(level, level, squares);
        }
        float error = hn::GetLane(hn::SumOfLanes(floats, errors)), product = hn::GetLane(hn::SumOfLanes(floats, along)),
              square = hn::GetLane(hn::SumOfLanes(floats, squares));
        for (; i < n; ++i) {
            const float u = x[i] * reciprocal;
            float level = lowest_;
            for (int k = 0; k < count_; ++k) level += u > bounds_[k] ? steps_[k] : 0;
            error += (u - level) * (u - level);
            product += u * level;
            square += level * level;
        }
        return {error, product / square * scale};
    }

  private:
    float lowest_ = 0, bounds_[15], steps_[15];
    int count_ = 0;
};

float searched(const Book& book, const float* x, std::int64_t n, float absmax) {
    float best = absmax;
    Fit least = book.fit(x, n, absmax);
    const auto consider = [&](float scale) HWY_ATTR {
        Fit one = book.fit(x, n, scale);
        one.error *= scale / absmax * (scale / absmax);
        if (!(one.error < least.error)) return;
        least = one;
        best = scale;
    };
    for (int k = 0; k < scale_candidates; ++k) consider(absmax * scale_candidate(k));
    for (int k = 0; k < scale_refinements; ++k) consider(least.scale);
    return best;
}

void search_array(Code code, const float* x, std::int64_t n, std::int64_t block, float* scales) {
    const Book book(code);
    for (std::int64_t begin = 0; begin < n; begin += block) {
        const std::int64_t count = std::min(block, n - begin);
        std::uint32_t largest = 0;  // a NaN's bits are the largest
        for (std::int64_t i = begin; i < begin + count; ++i) largest = std::max(largest, std::bit_cast<std::uint32_t>(x[i]) & 0x7FFFFFFF);
        const auto absmax = std::bit_cast<float>(largest);
        const bool usual = absmax >= smallest_divisor && std::isfinite(absmax);
        scales[begin / block] = usual ? searched(book, x + begin, count, absmax) : absmax;
    }
}

#endif
}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(search_array);

void search_scales(Code code, const float* x, std::int64_t n, std::int64_t block, float* scales) {
    HWY_DYNAMIC_DISPATCH(search_array)(code, x, n, block, scales);
}

}  // namespace qlora::kernels
#endif
