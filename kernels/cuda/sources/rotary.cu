// Rotary positions in the half-split layout (kernels/elementwise.h), to the bit as on a CPU.
#include "kernels/cuda/sources/common.cuh"

namespace qlora::kernels::cuda {

// A thread turns kWidth pairs, or copies one of the features behind them. y may be x where x has no gaps.
template <int kWidth>
__device__ inline void rotate(const Rotary& rule, const float* x, unsigned rows, float* y) {
    const unsigned parts = rule.half / kWidth, slots = parts + rule.dim - 2 * rule.half,
                   all = rows * rule.heads * slots;
    for (unsigned i = grid_thread(); i < all; i += grid_threads()) {
        const unsigned slot = i % slots, which = i / slots, head = which % rule.heads, row = which / rule.heads;
        const float* from = x + row * rule.stride + static_cast<Index>(head) * rule.dim;
        float* to = y + static_cast<Index>(which) * rule.dim;
        if (slot >= parts) {
            const unsigned feature = 2 * rule.half + slot - parts;
            to[feature] = from[feature];
            continue;
        }
        const unsigned first = slot * kWidth;
        const Index angle = static_cast<Index>(row) * rule.half + first;
        float a[kWidth], b[kWidth], c[kWidth], s[kWidth], low[kWidth], high[kWidth];
        load_some(from + first, a);
        load_some(from + rule.half + first, b);
        load_some(rule.cosines + angle, c);
        load_some(rule.sines + angle, s);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
            const float sine = rule.backward ? -s[k] : s[k];
            low[k] = a[k] * c[k] - b[k] * sine;
            high[k] = b[k] * c[k] + a[k] * sine;
        }
        store_some(to + first, low);
        store_some(to + rule.half + first, high);
    }
}

}  // namespace qlora::kernels::cuda

using namespace qlora::kernels::cuda;

extern "C" __global__ void __launch_bounds__(256)
    rotate_by_4(const Rotary rule, const float* x, const unsigned rows, float* y) {
    rotate<4>(rule, x, rows, y);
}
extern "C" __global__ void __launch_bounds__(256)
    rotate_by_1(const Rotary rule, const float* x, const unsigned rows, float* y) {
    rotate<1>(rule, x, rows, y);
}
