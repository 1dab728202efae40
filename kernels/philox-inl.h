// Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) in vectors, a counter a lane.
// Included once per instruction set.

#if defined(QLORA_KERNELS_PHILOX_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef QLORA_KERNELS_PHILOX_INL_H
#undef QLORA_KERNELS_PHILOX_INL_H
#else
#define QLORA_KERNELS_PHILOX_INL_H
#endif

#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {

using WordVector = hn::Vec<Words>;

struct WideProduct {
    WordVector high, low;
};
HWY_INLINE WideProduct multiply_wide(WordVector a, std::uint32_t b) {
#if HWY_TARGET == HWY_SCALAR
    const std::uint64_t product = std::uint64_t{hn::GetLane(a)} * b;
    return {hn::Set(words, static_cast<std::uint32_t>(product >> 32)), hn::Set(words, static_cast<std::uint32_t>(product))};
#else
    const hn::RepartitionToWide<Words> wide;
    const WordVector factor = hn::Set(words, b);
    const auto even = hn::MulEven(a, factor);
    const auto odd = hn::MulEven(hn::BitCast(words, hn::ShiftRight<32>(hn::BitCast(wide, a))), factor);
    return {hn::OddEven(hn::BitCast(words, odd), hn::BitCast(words, hn::ShiftRight<32>(even))),
            hn::OddEven(hn::BitCast(words, hn::ShiftLeft<32>(odd)), hn::BitCast(words, even))};
#endif
}

struct FourWords {
    WordVector a, b, c, d;
};
// 4x32-10.
HWY_INLINE FourWords philox4(FourWords x, std::uint32_t key0, std::uint32_t key1) {
    for (int round = 0; round < 10; ++round, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
        const WideProduct p = multiply_wide(x.a, 0xD2511F53u), q = multiply_wide(x.c, 0xCD9E8D57u);
        x = {hn::Xor(hn::Xor(q.high, x.b), hn::Set(words, key0)), q.low,
             hn::Xor(hn::Xor(p.high, x.d), hn::Set(words, key1)), p.low};
    }
    return x;
}
// The first word of 2x32-10.
HWY_INLINE WordVector philox2(WordVector a, WordVector b, std::uint32_t key) {
    for (int round = 0; round < 10; ++round, key += 0x9E3779B9u) {
        const WideProduct p = multiply_wide(a, 0xD256D193u);
        a = hn::Xor(hn::Xor(p.high, b), hn::Set(words, key));
        b = p.low;
    }
    return a;
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
