#pragma once
// Products of a packed matrix's rows with one vector. A warp takes four rows, so that what it has read of the vector
// serves all of them and four loads of weights are under way; a lane takes eight columns at a time.

#include "kernels/cuda/sources/common.cuh"

namespace qlora::kernels::cuda {

constexpr int warp_rows = 4;

template <class Products>
__device__ inline void multiply_rows(const Products& products, Index rows, const float* __restrict__ x,
                                     float* __restrict__ y) {
    const Index first =
        (static_cast<Index>(blockIdx.x) * (blockDim.x / warp_lanes) + threadIdx.x / warp_lanes) * warp_rows;
    if (first >= rows) return;
    const int lane = threadIdx.x % warp_lanes,
              count = static_cast<int>(rows - first < warp_rows ? rows - first : warp_rows);
    float sums[warp_rows] = {};
    if (products.whole()) {
        for (Index column = lane * group; column < products.cols(); column += warp_lanes * group) {
            float part[group];
            load_group(x + column, part);
#pragma unroll
            for (int r = 0; r < warp_rows; ++r)
                if (r < count) sums[r] += products.eight(first + r, column, part);
        }
    } else {
        for (Index column = lane; column < products.cols(); column += warp_lanes)
#pragma unroll
            for (int r = 0; r < warp_rows; ++r)
                if (r < count) sums[r] = fmaf(products.one(first + r, column), x[column], sums[r]);
    }
#pragma unroll
    for (int r = 0; r < warp_rows; ++r) {
        const float sum = reduce_warp(sums[r], Add());
        if (lane == 0 && r < count) y[first + r] = sum;
    }
}

}  // namespace qlora::kernels::cuda
