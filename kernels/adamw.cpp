#include "kernels/adamw.h"

#include <algorithm>

#include "kernels/quantize.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adamw.cpp"
#include <hwy/foreach_target.h>

#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {

void adamw_update(const AdamWRule& rule, const float* gradients, std::int64_t n, float* values, float* first, float* second) {
    const Vector beta1_rest = hn::Set(floats, rule.beta1_rest), beta2 = hn::Set(floats, rule.beta2), beta2_rest = hn::Set(floats, rule.beta2_rest);
    const Vector keep = hn::Set(floats, rule.keep), rate = hn::Set(floats, rule.rate), root = hn::Set(floats, rule.root);
    const Vector epsilon = hn::Set(floats, rule.epsilon), scale = hn::Set(floats, rule.gradient_scale);
    for_parts(n, [=](std::int64_t i, std::int64_t count) {
        const Vector g = hn::Mul(load_part(gradients + i, count), scale), old = load_part(first + i, count);
        const Vector m = hn::MulAdd(hn::Sub(g, old), beta1_rest, old);
        const Vector v = hn::MulAdd(hn::Mul(g, beta2_rest), g, hn::Mul(load_part(second + i, count), beta2));
        const Vector denominator = hn::Add(hn::Div(hn::Sqrt(v), root), epsilon);
        store_part(m, first + i, count);
        store_part(v, second + i, count);
        store_part(hn::Sub(hn::Mul(load_part(values + i, count), keep), hn::Div(hn::Mul(rate, m), denominator)), values + i, count);
    });
}

double squares(const float* x, std::int64_t n) {
    double total = 0;
    for (std::int64_t begin = 0; begin < n; begin += 4096) {
        Vector sums = hn::Zero(floats);
        for_parts(std::min<std::int64_t>(4096, n - begin), [&](std::int64_t i, std::int64_t count) {
            const Vector v = load_part(x + begin + i, count);
            sums = hn::MulAdd(v, v, sums);
        });
        total += static_cast<double>(sum_of(sums));
    }
    return total;
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(adamw_update);
HWY_EXPORT(squares);

void adamw(const AdamWRule& rule, const float* gradients, std::int64_t n, float* values, float* first, float* second) {
    HWY_DYNAMIC_DISPATCH(adamw_update)(rule, gradients, n, values, first, second);
}
void adamw_8bit(const AdamWRule& rule, const float* gradients, std::int64_t n, float* values, EightBit first, EightBit second) {
    for (std::int64_t begin = 0, block = 0; begin < n; begin += moment_block, ++block) {
        const std::int64_t count = std::min(moment_block, n - begin);
        alignas(64) float moments[2][moment_block];
        const auto each = [&](auto f) {
            f(DynamicMap::with_sign, first, moments[0]);
            f(DynamicMap::without_sign, second, moments[1]);
        };
        each([&](DynamicMap map, EightBit moment, float* numbers) {
            dequantize_dynamic(map, moment.codes + begin, moment.absmax + block, moment_block, 0, count, numbers);
        });
        adamw(rule, gradients + begin, count, values + begin, moments[0], moments[1]);
        each([&](DynamicMap map, EightBit moment, float* numbers) {
            quantize_dynamic(map, numbers, count, moment_block, moment.codes + begin, moment.absmax + block);
        });
    }
}

double sum_of_squares(const float* x, std::int64_t n) {
    return HWY_DYNAMIC_DISPATCH(squares)(x, n);
}

}  // namespace qlora::kernels
#endif
