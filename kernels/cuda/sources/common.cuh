#pragma once
// What the kernels share: numbers in 16 bit, loads of 16 bytes, sums over a block of threads.
//
// The sources are compiled without fused multiply-adds, so that values promised to the bit are those of the CPU; where
// one is wanted, it says fmaf. Tensors begin at multiples of 16 bytes.

#include "kernels/cuda/sources/arguments.h"

namespace qlora::kernels::cuda {

constexpr unsigned all_lanes = 0xFFFFFFFFu;

struct Half {
    unsigned short bits;
};
struct BFloat16 {
    unsigned short bits;
};

#if defined(__CUDACC_RTC__)
__device__ inline float widen_half(unsigned short bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}
__device__ inline unsigned short narrow_half(float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}
#endif

__device__ inline float widen_bfloat16(unsigned short bits) {
    return __uint_as_float(static_cast<unsigned>(bits) << 16);
}

__device__ inline void narrow(float x, float& out) {
    out = x;
}
__device__ inline void narrow(float x, Half& out) {
    out.bits = narrow_half(x);
}
__device__ inline void narrow(float x, BFloat16& out) {
    const unsigned bits = __float_as_uint(x);
    // To nearest, ties to even; a NaN stays one.
    out.bits = static_cast<unsigned short>(x != x ? bits >> 16 | 0x40 : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Eight numbers to a multiple of 16 bytes.
__device__ inline void store_group(float* out, const float (&w)[group]) {
    reinterpret_cast<float4*>(out)[0] = {w[0], w[1], w[2], w[3]};
    reinterpret_cast<float4*>(out)[1] = {w[4], w[5], w[6], w[7]};
}
template <class Short>
__device__ inline void store_group(Short* out, const float (&w)[group]) {
    unsigned words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        Short low, high;
        narrow(w[2 * i], low);
        narrow(w[2 * i + 1], high);
        words[i] = static_cast<unsigned>(low.bits) | static_cast<unsigned>(high.bits) << 16;
    }
    *reinterpret_cast<uint4*>(out) = {words[0], words[1], words[2], words[3]};
}

__device__ inline void load_group(const float* from, float (&x)[group]) {
    const float4 a = reinterpret_cast<const float4*>(from)[0], b = reinterpret_cast<const float4*>(from)[1];
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
    x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

// One number, or four at a multiple of 16 bytes.
__device__ inline void load_some(const float* from, float (&x)[1]) {
    x[0] = *from;
}
__device__ inline void load_some(const float* from, float (&x)[4]) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
}
__device__ inline void store_some(float* to, const float (&x)[1]) {
    *to = x[0];
}
__device__ inline void store_some(float* to, const float (&x)[4]) {
    *reinterpret_cast<float4*>(to) = {x[0], x[1], x[2], x[3]};
}

struct Add {
    template <class T>
    __device__ T operator()(T a, T b) const {
        return a + b;
    }
};
struct Largest {
    template <class T>
    __device__ T operator()(T a, T b) const {
        return a < b ? b : a;
    }
};

template <class T>
__device__ inline T from_lane(T x, int distance) {
    return __shfl_xor_sync(all_lanes, x, distance);
}

// Combined over the warp, or over the block of whole warps; every thread gets the result.
template <class T, class Combine>
__device__ inline T reduce_warp(T x, Combine combine) {
#pragma unroll
    for (int distance = warp_lanes / 2; distance > 0; distance /= 2) x = combine(x, from_lane(x, distance));
    return x;
}
template <class T, class Combine>
__device__ inline T reduce_block(T x, T neutral, Combine combine) {
    __shared__ T parts[warp_lanes];
    const unsigned warp = threadIdx.x / warp_lanes, lane = threadIdx.x % warp_lanes;
    x = reduce_warp(x, combine);
    __syncthreads();  // what an earlier call left may still be read
    if (lane == 0) parts[warp] = x;
    __syncthreads();
    return reduce_warp(lane < blockDim.x / warp_lanes ? parts[lane] : neutral, combine);
}
__device__ inline float block_sum(float x) {
    return reduce_block(x, 0.0f, Add());
}

// The thread's number in the grid, and how many threads there are.
__device__ inline unsigned grid_thread() {
    return blockIdx.x * blockDim.x + threadIdx.x;
}
__device__ inline unsigned grid_threads() {
    return gridDim.x * blockDim.x;
}

}  // namespace qlora::kernels::cuda
