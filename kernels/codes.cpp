#include "kernels/codes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>

#include "kernels/code_tables.h"

namespace qlora::kernels {
namespace {

constexpr std::array<float, 16> nf4_levels = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

constexpr std::array<float, 16> fp4_levels = {
    0 / 12.0f, 0.0625f / 12.0f,  8 / 12.0f,  12 / 12.0f,  4 / 12.0f,  6 / 12.0f,  2 / 12.0f,  3 / 12.0f,
    -0.0f,     -0.0625f / 12.0f, -8 / 12.0f, -12 / 12.0f, -4 / 12.0f, -6 / 12.0f, -2 / 12.0f, -3 / 12.0f,
};

constexpr std::array<float, 16> int4_levels = {
    -7 / 7.0f, -7 / 7.0f, -6 / 7.0f, -5 / 7.0f, -4 / 7.0f, -3 / 7.0f, -2 / 7.0f, -1 / 7.0f,
    0 / 7.0f,  1 / 7.0f,  2 / 7.0f,  3 / 7.0f,  4 / 7.0f,  5 / 7.0f,  6 / 7.0f,  7 / 7.0f,
};

constexpr std::array<float, 16> int3_levels = {
    -3 / 3.0f, -3 / 3.0f, -2 / 3.0f, -1 / 3.0f, 0 / 3.0f, 1 / 3.0f, 2 / 3.0f, 3 / 3.0f,
    1.0f,      1.0f,      1.0f,      1.0f,      1.0f,     1.0f,     1.0f,     1.0f,
};

constexpr std::array<float, 256> make_int8_levels() {
    std::array<float, 256> all{};
    for (int byte = 0; byte < 256; ++byte)
        all[byte] = static_cast<float>(static_cast<std::int8_t>(byte)) / 127;
    return all;
}
constexpr std::array<float, 256> int8_levels = make_int8_levels();

// `steps` points from 0.1 to 1, each rounded once, counted from the nearer end: torch.linspace.
float linspace_point(int index, int steps) {
    const float low = 0.1f, high = 1.0f;
    const double step = (high - low) / static_cast<float>(steps - 1);
    return static_cast<float>(index < steps / 2 ? low + step * index : high - step * (steps - 1 - index));
}

// Seven decades; the one of 10^-k holds half as many evenly spaced fractions as the one above it.
std::array<float, 256> make_dynamic_map(DynamicMap map) {
    constexpr std::array<float, 7> decades = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
    const bool with_sign = map == DynamicMap::with_sign;
    std::array<float, 256> all{};
    std::size_t count = 0;
    for (int decade = 0; decade < 7; ++decade) {
        const int fractions = 1 << (with_sign ? decade : decade + 1);
        for (int i = 0; i < fractions; ++i) {
            const float middle =
                (linspace_point(i, fractions + 1) + linspace_point(i + 1, fractions + 1)) / 2;
            all[count++] = decades[decade] * middle;
            if (with_sign) all[count++] = -decades[decade] * middle;
        }
    }
    all[count++] = 0;
    all[count] = 1;
    std::sort(all.begin(), all.end());
    return all;
}

// Equal levels (fp4's two zeros) keep the order of their codes.
Thresholds make_thresholds(std::span<const float> levels) {
    Thresholds result;
    std::iota(result.code_of_rank.begin(), result.code_of_rank.end(), std::uint8_t{0});
    std::stable_sort(result.code_of_rank.begin(), result.code_of_rank.end(),
                     [&](std::uint8_t a, std::uint8_t b) { return levels[a] < levels[b]; });
    for (std::size_t rank = 0; rank < result.bounds.size(); ++rank)
        result.bounds[rank] = (levels[result.code_of_rank[rank]] + levels[result.code_of_rank[rank + 1]]) / 2;
    return result;
}

// Code 0 repeats the level of code 1; nothing ranks as low as it.
Thresholds make_int4_thresholds() {
    Thresholds result = make_thresholds(int4_levels);
    result.bounds[0] = -std::numeric_limits<float>::infinity();
    return result;
}

// Nothing ranks below code 1; and what ranks above code 7, a NaN alone, is code 7 as well.
Thresholds make_int3_thresholds() {
    Thresholds result = make_thresholds(int3_levels);
    result.bounds[0] = -std::numeric_limits<float>::infinity();
    std::fill(result.bounds.begin() + 7, result.bounds.end(), std::numeric_limits<float>::infinity());
    for (auto& code : result.code_of_rank) code = std::clamp<std::uint8_t>(code, 1, 7);
    return result;
}

constexpr LevelPlanes make_planes(const std::array<float, 16>& levels) {
    LevelPlanes planes{};
    for (std::size_t plane = 0; plane < 4; ++plane)
        for (std::size_t code = 0; code < 16; ++code)
            planes[plane][code] =
                static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(levels[code]) >> 8 * plane);
    return planes;
}
constexpr LevelPlanes nf4_planes = make_planes(nf4_levels);
constexpr LevelPlanes fp4_planes = make_planes(fp4_levels);
constexpr LevelPlanes int4_planes = make_planes(int4_levels);
constexpr LevelPlanes int3_planes = make_planes(int3_levels);

}  // namespace

const Thresholds& thresholds(Code four_bit_code) {
    static const Thresholds nf4 = make_thresholds(nf4_levels);
    static const Thresholds fp4 = make_thresholds(fp4_levels);
    static const Thresholds int4 = make_int4_thresholds();
    static const Thresholds int3 = make_int3_thresholds();
    switch (four_bit_code) {
        case Code::nf4:
            return nf4;
        case Code::fp4:
            return fp4;
        case Code::int3:
            return int3;
        default:
            return int4;
    }
}

const LevelPlanes& level_planes(Code four_bit_code) {
    switch (four_bit_code) {
        case Code::nf4:
            return nf4_planes;
        case Code::fp4:
            return fp4_planes;
        case Code::int3:
            return int3_planes;
        default:
            return int4_planes;
    }
}

std::span<const float> levels(Code code) {
    switch (code) {
        case Code::nf4:
            return nf4_levels;
        case Code::fp4:
            return fp4_levels;
        case Code::int4:
            return int4_levels;
        case Code::int3:
            return int3_levels;
        case Code::int8:
            return int8_levels;
    }
    return {};
}

std::span<const float> dynamic_map(DynamicMap map) {
    static const std::array<float, 256> with_sign = make_dynamic_map(DynamicMap::with_sign);
    static const std::array<float, 256> without_sign = make_dynamic_map(DynamicMap::without_sign);
    return map == DynamicMap::with_sign ? with_sign : without_sign;
}

}  // namespace qlora::kernels
