// AdamW's update of many parameters in one pass, with moments in fp32 or in 8 bit, and sums of squares
// (kernels/adamw.h).
#include "kernels/cuda/sources/common.cuh"

namespace qlora::kernels::cuda {

__device__ inline void update(const AdamW& rule, float gradient, float& value, float& first, float& second) {
    const float g = gradient * rule.gradient_scale;
    first = fmaf(g - first, rule.beta1_rest, first);
    second = fmaf(g * rule.beta2_rest, g, second * rule.beta2);
    value = value * rule.keep - rule.rate * first / (sqrtf(second) / rule.root + rule.epsilon);
}

template <int kWidth>
__device__ inline void update_all(const AdamW& rule, const float* __restrict__ gradients, Index n,
                                  float* __restrict__ values, float* __restrict__ first, float* __restrict__ second) {
    const Index step = kWidth * static_cast<Index>(grid_threads());
    for (Index i = kWidth * static_cast<Index>(grid_thread()); i < n; i += step) {
        if (i + kWidth <= n) {
            float g[kWidth], x[kWidth], m[kWidth], v[kWidth];
            load_some(gradients + i, g);
            load_some(values + i, x);
            load_some(first + i, m);
            load_some(second + i, v);
#pragma unroll
            for (int k = 0; k < kWidth; ++k) update(rule, g[k], x[k], m[k], v[k]);
            store_some(values + i, x);
            store_some(first + i, m);
            store_some(second + i, v);
        } else {
            for (Index k = i; k < n; ++k) update(rule, gradients[k], values[k], first[k], second[k]);
        }
    }
}

// The code of the nearest level, ties to the lower one: how many midpoints of neighbours lie below.
__device__ inline unsigned char nearest(const float* levels, float scaled) {
    int below = 0;
#pragma unroll
    for (int step = 128; step > 0; step /= 2)
        below += (levels[below + step - 1] + levels[below + step]) / 2 < scaled ? step : 0;
    return static_cast<unsigned char>(below);
}

// Of the block of threads, whose numbers share a scale.
__device__ inline unsigned char coded(const float* levels, float x, float* absmax) {
    const float largest = __uint_as_float(reduce_block(__float_as_uint(x) & 0x7FFFFFFFu, 0u, Largest()));
    if (threadIdx.x == 0) *absmax = largest;
    return nearest(levels, x / (largest < 1e-38f ? 1e-38f : largest));
}

}  // namespace qlora::kernels::cuda

using namespace qlora::kernels::cuda;

// By fours where all begin at multiples of 16 bytes, which a part of a flat buffer need not.
extern "C" __global__ void __launch_bounds__(256)
    adamw_by_4(const AdamW rule, const float* __restrict__ gradients, const Index n, float* __restrict__ values,
               float* __restrict__ first, float* __restrict__ second) {
    update_all<4>(rule, gradients, n, values, first, second);
}
extern "C" __global__ void __launch_bounds__(256)
    adamw_by_1(const AdamW rule, const float* __restrict__ gradients, const Index n, float* __restrict__ values,
               float* __restrict__ first, float* __restrict__ second) {
    update_all<1>(rule, gradients, n, values, first, second);
}

// A block of 256 threads takes a block of moments, a thread one of them. `tables`: arguments.h.
extern "C" __global__ void __launch_bounds__(256)
    adamw_8bit(const AdamW rule, const float* __restrict__ tables, const float* __restrict__ gradients, const Index n,
               float* __restrict__ values, unsigned char* __restrict__ first_codes, float* __restrict__ first_absmax,
               unsigned char* __restrict__ second_codes, float* __restrict__ second_absmax) {
    __shared__ float with_sign[256], without_sign[256];
    with_sign[threadIdx.x] = tables[map_with_sign + threadIdx.x];
    without_sign[threadIdx.x] = tables[map_without_sign + threadIdx.x];
    __syncthreads();
    for (Index block = blockIdx.x; block * 256 < n; block += gridDim.x) {
        const Index i = block * 256 + threadIdx.x;
        const bool mine = i < n;
        float first = 0, second = 0;
        if (mine) {
            first = with_sign[first_codes[i]] * first_absmax[block];
            second = without_sign[second_codes[i]] * second_absmax[block];
            update(rule, gradients[i], values[i], first, second);
        }
        // Before a scale is written all threads have read it: the reductions wait for them.
        const unsigned char first_code = coded(with_sign, first, first_absmax + block),
                            second_code = coded(without_sign, second, second_absmax + block);
        if (!mine) continue;
        first_codes[i] = first_code;
        second_codes[i] = second_code;
    }
}

// sums[b] = that of the squares of part b, of squares_part elements.
extern "C" __global__ void __launch_bounds__(256)
    sum_of_squares(const float* __restrict__ x, const Index n, double* __restrict__ sums) {
    const Index begin = static_cast<Index>(blockIdx.x) * squares_part,
                end = n - begin < squares_part ? n : begin + squares_part;
    constexpr int run = 16;  // as many are added in fp32
    double total = 0;
    Index i = begin + 4 * threadIdx.x;
    while (i < end) {
        float part = 0;
        for (int k = 0; k < run / 4 && i < end; ++k, i += 4 * blockDim.x) {
            if (i + 4 <= end) {
                float v[4];
                load_some(x + i, v);
                for (float value : v) part = fmaf(value, value, part);
            } else {
                for (Index at = i; at < end; ++at) part = fmaf(x[at], x[at], part);
            }
        }
        total += static_cast<double>(part);
    }
    total = reduce_block(total, 0.0, Add());
    if (threadIdx.x == 0) sums[blockIdx.x] = total;
}
