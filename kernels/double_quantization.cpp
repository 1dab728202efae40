// bitsandbytes' double quantization on a CPU, step by step.

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/quantize.h"

namespace qlora::kernels {
namespace {

// bitsandbytes does not search the map for a scaled value: it rounds the value to one of 65536 even steps
// from -1 to 1 and looks up the level nearest to that step.
using GridCodes = std::array<std::uint8_t, 65536>;

GridCodes make_grid_codes() {
    const auto map = dynamic_map();
    GridCodes codes;
    std::size_t level = 0;
    for (int step = 0; step < 65536; ++step) {
        const float value = 2 * static_cast<float>(step) / 65535 - 1;
        while (level < 255 && value > (map[level] + map[level + 1]) * 0.5f) ++level;
        codes[step] = static_cast<std::uint8_t>(level);
    }
    return codes;
}

// The product and the sum are exact in double, so that this is one rounding to fp32, as a fused multiply-add
// does.
std::size_t grid_step(float scaled) {
    if (std::isnan(scaled)) return 0;
    const float half = (std::clamp(scaled, -1.0f, 1.0f) + 1) * 0.5f;
    return static_cast<std::size_t>(static_cast<float>(static_cast<double>(half) * 65535 + 0.5));
}

// The sum as torch's cascade makes it: `rows` chains of eight lanes run side by side, one step taking one row
// of each; after every 2^power steps the lowest of four levels is added to the next, and so on upwards like
// the carry of a counter.
constexpr int torch_lanes = 8, torch_chains = 4, torch_levels = 4;

template <int kLanes>
using Chains = std::array<std::array<float, kLanes>, torch_chains>;

template <int kLanes>
void add(Chains<kLanes>& sum, const float* x) {
    for (int chain = 0; chain < torch_chains; ++chain)
        for (int lane = 0; lane < kLanes; ++lane) sum[chain][lane] += x[chain * kLanes + lane];
}

int ceil_log2(std::int64_t n) {
    int power = 0;
    while ((std::int64_t{1} << power) < n) ++power;
    return power;
}

template <int kLanes>
std::array<float, kLanes> cascade_sum(const float* x, std::int64_t vectors) {
    constexpr std::int64_t step_size = torch_chains * kLanes;
    const std::int64_t steps = vectors / torch_chains;
    const int power = std::max(4, ceil_log2(steps) / torch_levels);
    const std::int64_t run = std::int64_t{1} << power;
    std::array<Chains<kLanes>, torch_levels> level{};
    std::int64_t step = 0;
    while (step + run <= steps) {
        for (const std::int64_t end = step + run; step < end; ++step)
            add<kLanes>(level[0], x + step * step_size);
        for (int k = 1; k < torch_levels; ++k) {
            add<kLanes>(level[k], level[k - 1][0].data());
            level[k - 1] = {};
            if (step & (run - 1) << (k * power)) break;
        }
    }
    for (; step < steps; ++step) add<kLanes>(level[0], x + step * step_size);
    for (int k = 1; k < torch_levels; ++k) add<kLanes>(level[0], level[k][0].data());

    std::array<float, kLanes> sum = level[0][0];
    for (std::int64_t vector = steps * torch_chains; vector < vectors; ++vector)
        for (int lane = 0; lane < kLanes; ++lane) sum[lane] += x[vector * kLanes + lane];
    for (int chain = 1; chain < torch_chains; ++chain)
        for (int lane = 0; lane < kLanes; ++lane) sum[lane] += level[0][chain][lane];
    return sum;
}

float torch_sum(const float* x, std::int64_t n) {
    if (n < torch_lanes) return cascade_sum<1>(x, n)[0];
    const std::int64_t vectors = n / torch_lanes;
    const auto lanes = cascade_sum<torch_lanes>(x, vectors);
    float sum = 0;
    for (std::int64_t i = vectors * torch_lanes; i < n; ++i) sum += x[i];
    for (const float lane : lanes) sum += lane;
    return sum;
}

}  // namespace

float mean(const float* x, std::int64_t n) {
    return n == 0 ? 0 : torch_sum(x, n) / static_cast<float>(n);
}

void quantize_absmax(const float* absmax, std::int64_t n, std::uint8_t* codes, float* nested_absmax,
                     float* offset) {
    static const GridCodes grid_codes = make_grid_codes();
    *offset = mean(absmax, n);
    for (std::int64_t begin = 0; begin < n; begin += nested_block) {
        const std::int64_t end = std::min(n, begin + nested_block);
        float largest = 0;
        for (std::int64_t i = begin; i < end; ++i) largest = std::max(largest, std::abs(absmax[i] - *offset));
        nested_absmax[begin / nested_block] = largest;
        const float reciprocal = 1 / largest;
        for (std::int64_t i = begin; i < end; ++i)
            codes[i] = largest == 0 ? 0 : grid_codes[grid_step((absmax[i] - *offset) * reciprocal)];
    }
}

void dequantize_absmax(const std::uint8_t* codes, const float* nested_absmax, float offset,
                       std::int64_t begin, std::int64_t count, float* out) {
    const float* map = dynamic_map().data();
    for (std::int64_t i = 0; i < count; ++i)
        out[i] = map[codes[begin + i]] * nested_absmax[(begin + i) / nested_block] + offset;
}

}  // namespace qlora::kernels
