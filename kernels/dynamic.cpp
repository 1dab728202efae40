#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/quantize.h"

namespace qlora::kernels {
namespace {

std::array<float, 255> make_midpoints(std::span<const float> levels) {
    std::array<float, 255> midpoints;
    for (std::size_t i = 0; i < midpoints.size(); ++i) midpoints[i] = (levels[i] + levels[i + 1]) / 2;
    return midpoints;
}

const std::array<float, 255>& midpoints(DynamicMap map) {
    static const auto with_sign = make_midpoints(dynamic_map(DynamicMap::with_sign));
    static const auto without_sign = make_midpoints(dynamic_map(DynamicMap::without_sign));
    return map == DynamicMap::with_sign ? with_sign : without_sign;
}

// How many midpoints lie below: a binary search of eight steps without branches.
std::uint8_t nearest_level(const std::array<float, 255>& midpoints, float scaled) {
    const float* below = midpoints.data();
    for (std::ptrdiff_t step = 128; step > 0; step /= 2) below += below[step - 1] < scaled ? step : 0;
    return static_cast<std::uint8_t>(below - midpoints.data());
}

}  // namespace

void quantize_dynamic(DynamicMap map, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* codes,
                      float* absmax) {
    const auto& middle = midpoints(map);
    for (std::int64_t begin = 0; begin < n; begin += block) {
        const std::int64_t end = std::min(n, begin + block);
        float largest = 0;
        for (std::int64_t i = begin; i < end; ++i) {
            const float magnitude = std::abs(x[i]);
            largest = magnitude <= largest ? largest : magnitude;
            if (std::isnan(largest)) break;
        }
        absmax[begin / block] = largest;
        // A reciprocal of the smallest denormals would overflow.
        const float divisor = std::max(largest, 1e-38f);
        for (std::int64_t i = begin; i < end; ++i) codes[i] = nearest_level(middle, x[i] / divisor);
    }
}

void dequantize_dynamic(DynamicMap map, const std::uint8_t* codes, const float* absmax, std::int64_t block,
                        std::int64_t begin, std::int64_t count, float* out) {
    const float* levels = dynamic_map(map).data();
    for (std::int64_t i = begin; i < begin + count;) {
        const std::int64_t end = std::min(begin + count, (i / block + 1) * block);
        const float scale = absmax[i / block];
        for (; i < end; ++i) out[i - begin] = levels[codes[i]] * scale;
    }
}

}  // namespace qlora::kernels
