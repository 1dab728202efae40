#include "peak.h"

#include <algorithm>
#include <chrono>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

double measure() {
    const hn::CappedTag<float, 16> d;
    constexpr int chains = 12, rounds = 1 << 20;
    const auto factor = hn::Set(d, 0.999f), addend = hn::Set(d, 0.001f);
    double best = 0;
    for (int repetition = 0; repetition < 8; ++repetition) {
        hn::Vec<decltype(d)> sums[chains];
        for (int chain = 0; chain < chains; ++chain)
            sums[chain] = hn::Set(d, static_cast<float>(chain));  // or they would be one
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < rounds; ++i)
            for (auto& sum : sums) sum = hn::MulAdd(sum, factor, addend);
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        auto total = hn::Zero(d);
        for (auto& sum : sums) total = hn::Add(total, sum);
        // Looking at the result keeps the loop from being left out.
        if (hn::GetLane(hn::SumOfLanes(d, total)) > 0)
            best = std::max(best, 2e-9 * chains * rounds * static_cast<double>(hn::Lanes(d)) / seconds);
    }
    return best;
}

}  // namespace HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#if defined(__x86_64__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
__attribute__((target("avx512f,avx512bf16"))) double peak_bf16_gflops() {
    constexpr int chains = 16, rounds = 1 << 20;
    const auto x = (__m512bh)_mm512_set1_epi32(0x3F003F00), y = (__m512bh)_mm512_set1_epi32(0x3A003A00);
    double best = 0;
    for (int repetition = 0; repetition < 8; ++repetition) {
        __m512 sums[chains];
        for (int chain = 0; chain < chains; ++chain) sums[chain] = _mm512_set1_ps(static_cast<float>(chain));
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < rounds; ++i)
            for (auto& sum : sums) sum = _mm512_dpbf16_ps(sum, x, y);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        float total = 0;
        for (auto& sum : sums) total += _mm512_reduce_add_ps(sum);
        if (total > 0) best = std::max(best, 64e-9 * chains * rounds / seconds);
    }
    return best;
}
#else
double peak_bf16_gflops() { return 0; }
#endif

HWY_EXPORT(measure);
double peak_gflops() {
    return HWY_DYNAMIC_DISPATCH(measure)();
}
#endif
