// f16 and bf16 to and from fp32, in vectors. Highway's own f16 conversions truncate and lose infinities where
// the CPU has no instruction for them, hence the whole-number forms. Included once per instruction set.

#if defined(QLORA_KERNELS_HALF_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef QLORA_KERNELS_HALF_INL_H
#undef QLORA_KERNELS_HALF_INL_H
#else
#define QLORA_KERNELS_HALF_INL_H
#endif

#include "kernels/reference.h"
#include "kernels/vectors-inl.h"

// AVX2 and all above it on x86 convert f16 in hardware.
#undef QLORA_KERNELS_F16C
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
#define QLORA_KERNELS_F16C 1
#else
#define QLORA_KERNELS_F16C 0
#endif

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR

using Halves = hn::Rebind<std::uint16_t, Floats>;
inline constexpr Halves halves;

HWY_INLINE Vector widen_f16(hn::Vec<Halves> half) {
#if QLORA_KERNELS_F16C
    return hn::PromoteTo(floats, hn::BitCast(hn::Rebind<hwy::float16_t, Floats>(), half));
#else
    const auto bits = hn::PromoteTo(words, half);
    const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(words, 0x7FFF)));
    const auto exponent = hn::And(magnitude, hn::Set(words, 0x0F800000));
    const auto normal = hn::Add(magnitude, hn::Set(words, 112u << 23));
    const auto not_finite = hn::Eq(exponent, hn::Set(words, 0x0F800000));
    const auto tiny = hn::Eq(exponent, hn::Zero(words));
    // A denormal's mantissa, put under the exponent of 2^-14, is 2^-14 too large.
    const auto shifted = hn::BitCast(floats, hn::Add(normal, hn::Set(words, 1u << 23)));
    const auto denormal = hn::BitCast(words, hn::Sub(shifted, hn::Set(floats, 0x1p-14f)));
    const auto large = hn::IfThenElse(not_finite, hn::Or(normal, hn::Set(words, 0x7F800000)), normal);
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(words, 0x8000)));
    return hn::BitCast(floats, hn::Or(hn::IfThenElse(tiny, denormal, large), sign));
#endif
}

HWY_INLINE Vector widen_bf16(hn::Vec<Halves> half) {
    return hn::BitCast(floats, hn::ShiftLeft<16>(hn::PromoteTo(words, half)));
}

HWY_INLINE hn::Vec<Halves> narrow_f16(Vector value) {
#if QLORA_KERNELS_F16C
    return hn::BitCast(halves, hn::DemoteTo(hn::Rebind<hwy::float16_t, Floats>(), value));
#else
    const auto bits = hn::BitCast(words, value);
    const auto magnitude = hn::And(bits, hn::Set(words, 0x7FFFFFFF));
    // Ties to even: half a unit less one, plus the last bit that stays.
    const auto last = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(words, 1));
    const auto rounded = hn::Add(hn::Add(magnitude, hn::Set(words, 0xFFFu - (112u << 23))), last);
    const auto normal = hn::ShiftRight<13>(rounded);
    // Added to 1/2, a small number leaves its rounded multiple of 2^-24 in the low bits.
    const auto half_one = hn::Set(floats, 0.5f);
    const auto sum = hn::BitCast(words, hn::Add(hn::BitCast(floats, magnitude), half_one));
    const auto denormal = hn::Sub(sum, hn::BitCast(words, half_one));
    const auto nan =
        hn::Or(hn::Set(words, 0x7E00), hn::ShiftRight<13>(hn::And(magnitude, hn::Set(words, 0x7FFFFF))));
    const auto number = hn::BitCast(hn::RebindToSigned<Words>(), magnitude);
    const auto below = [&](std::int32_t limit) HWY_ATTR {
        return hn::RebindMask(words, hn::Lt(number, hn::Set(hn::RebindToSigned<Words>(), limit)));
    };
    auto result = hn::IfThenElse(below(143 << 23), normal, hn::Set(words, 0x7C00));
    result = hn::IfThenElse(below(113 << 23), denormal, result);
    result = hn::IfThenElse(below(0x7F800001), result, nan);
    const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 0x8000));
    return hn::TruncateTo(halves, hn::Or(result, sign));
#endif
}

HWY_INLINE hn::Vec<Halves> narrow_bf16(Vector value) {
    const auto bits = hn::BitCast(words, value);
    const auto last = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1));
    const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(words, 0x7FFF)), last));
    const auto quiet_nan = hn::Or(hn::ShiftRight<16>(bits), hn::Set(words, 0x40));
    const auto is_number = hn::RebindMask(words, hn::Eq(value, value));
    return hn::TruncateTo(halves, hn::IfThenElse(is_number, rounded, quiet_nan));
}

#if QLORA_AVX512
// The same by AVX512-BF16, which this Highway does not know: denormals become 0. Only where has_bf16_products().
HWY_INLINE __m256i narrow_bf16_by_processor(__m512 value) {
    __m256i narrow;
    asm("vcvtneps2bf16 %1, %0" : "=v"(narrow) : "v"(value));
    return narrow;
}
#endif

// The first `count` lanes of bf16 numbers, the others 0; and their way back, as products round: on AVX-512 only where
// has_bf16_products().
HWY_INLINE Vector load_part(const std::uint16_t* from, std::int64_t count) {
    if (count == lanes) return widen_bf16(hn::LoadU(halves, from));
    HWY_ALIGN std::uint16_t part[lanes] = {};
    for (std::int64_t i = 0; i < count; ++i) part[i] = from[i];
    return widen_bf16(hn::Load(halves, part));
}
HWY_INLINE void store_part(Vector v, std::uint16_t* to, std::int64_t count) {
#if QLORA_AVX512
    const hn::Vec<Halves> narrow{narrow_bf16_by_processor(v.raw)};
#else
    const hn::Vec<Halves> narrow = narrow_bf16(v);
#endif
    if (count == lanes) return hn::StoreU(narrow, halves, to);
    HWY_ALIGN std::uint16_t part[lanes];
    hn::Store(narrow, halves, part);
    for (std::int64_t i = 0; i < count; ++i) to[i] = part[i];
}

#else

HWY_INLINE Vector load_part(const std::uint16_t* from, std::int64_t) { return hn::Set(floats, reference::bf16_to_f32(*from)); }
HWY_INLINE void store_part(Vector v, std::uint16_t* to, std::int64_t) { *to = reference::f32_to_bf16(hn::GetLane(v)); }

#endif  // HWY_TARGET != HWY_SCALAR
}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
