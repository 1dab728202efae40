// Blockwise quantization (kernels/quantize.h): the same codes and scales, to the bit.
#include "kernels/cuda/sources/common.cuh"

namespace qlora::kernels::cuda {

// Magnitudes compare like their bits as whole numbers, and a NaN's are the largest.
__device__ inline unsigned magnitude(float x) {
    return __float_as_uint(x) & 0x7FFFFFFFu;
}

// No block is divided by less.
constexpr float smallest_divisor = 1e-38f;

__device__ inline unsigned code_of(const FourBitRule& rule, float scaled) {
    int rank = 15;
#pragma unroll
    for (int k = 0; k < 15; ++k) rank -= scaled <= rule.bounds[k];
    return static_cast<unsigned>(rule.codes >> 4 * rank) & 15;
}

}  // namespace qlora::kernels::cuda

using namespace qlora::kernels::cuda;

// A warp takes a block of codes, a lane two elements, which share a byte, at a time.
extern "C" __global__ void __launch_bounds__(256)
    quantize_four_bit(const FourBitRule rule, const float* __restrict__ x, const Index n, const Index block,
                      unsigned char* __restrict__ packed, float* __restrict__ absmax) {
    const Index which = static_cast<Index>(blockIdx.x) * (blockDim.x / warp_lanes) + threadIdx.x / warp_lanes,
                begin = which * block;
    if (begin >= n) return;
    const Index count = n - begin < block ? n - begin : block;
    const int lane = threadIdx.x % warp_lanes;
    const float* from = x + begin;
    unsigned most = 0;
    for (Index i = 2 * lane; i < count; i += 2 * warp_lanes) {
        if (i + 1 < count) {
            const float2 two = *reinterpret_cast<const float2*>(from + i);
            most = Largest()(most, Largest()(magnitude(two.x), magnitude(two.y)));
        } else {
            most = Largest()(most, magnitude(from[i]));
        }
    }
    const float largest = __uint_as_float(reduce_warp(most, Largest()));
    const float divisor = largest < smallest_divisor ? smallest_divisor : largest;
    const bool partial = count < block;  // divides; a whole block is multiplied by the reciprocal
    const float reciprocal = 1 / divisor;
    const auto coded = [&](float value) { return code_of(rule, partial ? value / divisor : value * reciprocal); };
    for (Index i = 2 * lane; i < count; i += 2 * warp_lanes) {
        const float second = i + 1 < count ? from[i + 1] : 0;
        const unsigned low = i + 1 < count ? coded(second) : code_of(rule, 0);
        packed[(begin + i) / 2] = static_cast<unsigned char>(coded(from[i]) << 4 | low);
    }
    if (lane == 0) absmax[which] = partial ? divisor : largest;
}

// A block of threads takes a block of codes, which is a row of a matrix.
extern "C" __global__ void __launch_bounds__(256)
    quantize_int8(const float* __restrict__ x, const Index n, const Index block, signed char* __restrict__ packed,
                  float* __restrict__ absmax) {
    for (Index which = blockIdx.x; which * block < n; which += gridDim.x) {
        const Index begin = which * block, end = n - begin < block ? n : begin + block;
        unsigned most = 0;
        for (Index i = begin + threadIdx.x; i < end; i += blockDim.x) most = Largest()(most, magnitude(x[i]));
        const float largest = __uint_as_float(reduce_block(most, 0u, Largest()));
        const float factor = 1 / largest * 127;  // in torch's order of rounding
        for (Index i = begin + threadIdx.x; i < end; i += blockDim.x) {
            const float scaled = x[i] * factor;
            // A NaN (a block of zeros) becomes 0.
            packed[i] =
                static_cast<signed char>(scaled != scaled ? 0.0f : rintf(fminf(fmaxf(scaled, -127.0f), 127.0f)));
        }
        if (threadIdx.x == 0) absmax[which] = largest;
    }
}
