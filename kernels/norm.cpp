#include "kernels/norm.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm.cpp"
#include <hwy/foreach_target.h>

#include "kernels/half-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {

// A row's mean, 0 without centring, and 1 / sqrt(variance + epsilon).
struct Moments {
    float mean, inverse;
};
template <class Number>
Moments moments(const NormRule& rule, const Number* x, std::int64_t width) {
    const auto n = static_cast<float>(width);
    float mean = 0;
    if (rule.centred) {
        Vector sums = hn::Zero(floats);
        for_parts(width, [&](std::int64_t c, std::int64_t count) { sums = hn::Add(sums, load_part(x + c, count)); });
        mean = sum_of(sums) / n;
    }
    Vector squares = hn::Zero(floats);
    const Vector centre = hn::Set(floats, mean);
    for_parts(width, [&](std::int64_t c, std::int64_t count) {
        Vector d = hn::Sub(load_part(x + c, count), centre);
        if (count < lanes) d = hn::IfThenElseZero(hn::FirstN(floats, static_cast<std::size_t>(count)), d);
        squares = hn::MulAdd(d, d, squares);
    });
    return {mean, 1 / std::sqrt(sum_of(squares) / n + rule.epsilon)};
}

// `kept`, where it is not null, gets x rounded.
template <class From, class To>
HWY_INLINE void norm_each(const NormRule& rule, const From* x, std::int64_t rows, std::int64_t width, To* y, std::int64_t y_stride, std::uint16_t* kept) {
    for (std::int64_t r = 0; r < rows; ++r, x += width, y += y_stride) {
        const auto [mean, inverse] = moments(rule, x, width);
        const Vector centre = hn::Set(floats, mean), factor = hn::Set(floats, inverse);
        for_parts(width, [&, x, y](std::int64_t c, std::int64_t count) {
            const Vector given = load_part(x + c, count);
            if (kept != nullptr) store_part(given, kept + r * width + c, count);
            Vector v = hn::Mul(hn::Mul(hn::Sub(given, centre), factor), load_part(rule.weight + c, count));
            if (rule.bias != nullptr) v = hn::Add(v, load_part(rule.bias + c, count));
            store_part(v, y + c, count);
        });
    }
}

void norm_rows(const NormRule& rule, const float* x, std::int64_t rows, std::int64_t width, float* y) {
    norm_each(rule, x, rows, width, y, width, nullptr);
}
void norm_rows_to_bf16(const NormRule& rule, const float* x, std::int64_t rows, std::int64_t width, std::uint16_t* y, std::int64_t y_stride,
                       std::uint16_t* kept) {
    norm_each(rule, x, rows, width, y, y_stride, kept);
}
void norm_rows_in_bf16(const NormRule& rule, const std::uint16_t* x, std::int64_t rows, std::int64_t width, std::uint16_t* y, std::int64_t y_stride) {
    norm_each(rule, x, rows, width, y, y_stride, nullptr);
}

// With n = (x - mean) * inverse and g = dy * weight: dx = inverse * (g - mean(g) - n mean(g n)), mean(g) with centring only.
// `y`, where it is not null, gets the norm, rounded.
template <class From>
HWY_INLINE void norm_each_backward(const NormRule& rule, const From* x, const float* dy, std::int64_t rows, std::int64_t width, float* dx,
                                   std::uint16_t* y, std::int64_t y_stride) {
    for (std::int64_t r = 0; r < rows; ++r, x += width, dy += width, dx += width) {
        const auto [mean, inverse] = moments(rule, x, width);
        const Vector centre = hn::Set(floats, mean), factor = hn::Set(floats, inverse);
        Vector sums = hn::Zero(floats), products = hn::Zero(floats);
        for_parts(width, [&, x, dy](std::int64_t c, std::int64_t count) {
            const Vector g = hn::Mul(load_part(dy + c, count), load_part(rule.weight + c, count));
            sums = hn::Add(sums, g);
            products = hn::MulAdd(g, hn::Mul(hn::Sub(load_part(x + c, count), centre), factor), products);
        });
        const auto n = static_cast<float>(width);
        const Vector shift = hn::Set(floats, rule.centred ? sum_of(sums) / n : 0.0f), along = hn::Set(floats, sum_of(products) / n);
        for_parts(width, [&, x, dy, dx, r](std::int64_t c, std::int64_t count) {
            const Vector weight = load_part(rule.weight + c, count), g = hn::Mul(load_part(dy + c, count), weight);
            const Vector normed = hn::Mul(hn::Sub(load_part(x + c, count), centre), factor);
            store_part(hn::Mul(factor, hn::Sub(hn::Sub(g, shift), hn::Mul(normed, along))), dx + c, count);
            if (y == nullptr) return;
            Vector v = hn::Mul(normed, weight);
            if (rule.bias != nullptr) v = hn::Add(v, load_part(rule.bias + c, count));
            store_part(v, y + r * y_stride + c, count);
        });
    }
}

void norm_rows_backward(const NormRule& rule, const float* x, const float* dy, std::int64_t rows, std::int64_t width, float* dx) {
    norm_each_backward(rule, x, dy, rows, width, dx, nullptr, 0);
}
void norm_rows_backward_in_bf16(const NormRule& rule, const std::uint16_t* x, const float* dy, std::int64_t rows, std::int64_t width, float* dx,
                                std::uint16_t* y, std::int64_t y_stride) {
    norm_each_backward(rule, x, dy, rows, width, dx, y, y_stride);
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(norm_rows);
HWY_EXPORT(norm_rows_to_bf16);
HWY_EXPORT(norm_rows_in_bf16);
HWY_EXPORT(norm_rows_backward);
HWY_EXPORT(norm_rows_backward_in_bf16);

void norm(const NormRule& rule, const float* x, std::int64_t rows, std::int64_t width, float* y) {
    HWY_DYNAMIC_DISPATCH(norm_rows)(rule, x, rows, width, y);
}
void norm_backward(const NormRule& rule, const float* x, const float* dy, std::int64_t rows, std::int64_t width, float* dx) {
    HWY_DYNAMIC_DISPATCH(norm_rows_backward)(rule, x, dy, rows, width, dx);
}

void norm(const NormRule& rule, const float* x, std::int64_t rows, std::int64_t width, std::uint16_t* y, std::int64_t y_stride, std::uint16_t* kept) {
    HWY_DYNAMIC_DISPATCH(norm_rows_to_bf16)(rule, x, rows, width, y, y_stride, kept);
}
void norm(const NormRule& rule, const std::uint16_t* x, std::int64_t rows, std::int64_t width, std::uint16_t* y, std::int64_t y_stride) {
    HWY_DYNAMIC_DISPATCH(norm_rows_in_bf16)(rule, x, rows, width, y, y_stride);
}
void norm_backward(const NormRule& rule, const std::uint16_t* x, const float* dy, std::int64_t rows, std::int64_t width, float* dx,
                   std::uint16_t* y, std::int64_t y_stride) {
    HWY_DYNAMIC_DISPATCH(norm_rows_backward_in_bf16)(rule, x, dy, rows, width, dx, y, y_stride);
}

}  // namespace qlora::kernels
#endif
