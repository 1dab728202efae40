#pragma once
// Inside the kernels: tables derived from the code books, and the coding of one value.
//
// How one scaled value becomes a code. Four bits: x / absmax in [-1, 1] has as its rank the number of
// thresholds below it (the midpoints of neighbouring levels, rounded to fp32; a value on a threshold belongs
// to the lower level; a NaN ranks highest, as in bitsandbytes), and the code of that rank is looked up.

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/codes.h"

namespace qlora::kernels {

struct Thresholds {
    std::array<float, 15> bounds;  // ascending
    std::array<std::uint8_t, 16> code_of_rank;
};

const Thresholds& thresholds(Code four_bit_code);

inline std::uint8_t rank_of(const Thresholds& thresholds, float scaled) {
    std::uint8_t rank = 15;
    for (const float bound : thresholds.bounds) rank -= scaled <= bound;
    return rank;
}
inline std::uint8_t code_of(const Thresholds& thresholds, float scaled) {
    return thresholds.code_of_rank[rank_of(thresholds, scaled)];
}

// Byte `plane` (from the lowest) of each level's bits, for targets that look up bytes.
using LevelPlanes = std::array<std::array<std::uint8_t, 16>, 4>;
const LevelPlanes& level_planes(Code four_bit_code);

// No block is divided by less; a partial last block also stores no less (as bitsandbytes).
inline constexpr float smallest_divisor = 1e-38f;
// What elements are divided by where the scale is given.
inline float divisor_of(float scale) { return std::abs(scale) < smallest_divisor ? smallest_divisor : scale; }

// The grid that search_scales looks over, in parts of the absmax, and how often least squares follows it.
inline constexpr int scale_candidates = 27, scale_refinements = 2;
inline float scale_candidate(int k) { return 0.375f + static_cast<float>(k) / 32; }

// x * (1 / absmax * 127) to the nearest whole number, ties to even; a NaN (a block of zeros) becomes 0.
inline std::uint8_t int8_code_of(float scaled) {
    if (std::isnan(scaled)) return 0;
    return static_cast<std::uint8_t>(
        static_cast<std::int8_t>(std::nearbyint(std::clamp(scaled, -127.0f, 127.0f))));
}

// Dequantized int8 is (code * absmax) * int8_step, rounded in this order.
inline constexpr float int8_step = 7.874015718698502e-3f;

}  // namespace qlora::kernels
