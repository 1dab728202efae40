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
HWY_EXPORT(measure);
double peak_gflops() {
    return HWY_DYNAMIC_DISPATCH(measure)();
}
#endif
