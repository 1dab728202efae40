// A blockwise quantized matrix times one vector, straight from the packed form: what decoding token by token is made
// of.
#include "kernels/cuda/sources/blockwise.cuh"
#include "kernels/cuda/sources/row_products.cuh"

namespace qlora::kernels::cuda {

struct BlockwiseProducts {
    const Blockwise& m;
    const CodeBooks& books;

    __device__ bool whole() const { return m.cols % group == 0; }
    __device__ Index cols() const { return m.cols; }
    // Of the eight elements from (row, column) on with x. They are scaled together.
    __device__ float eight(Index row, Index column, const float (&x)[group]) const {
        const Index i = row * m.cols + column;
        float w[group];
        levels_of(m, books, i, w);
        float sum = 0;
#pragma unroll
        for (int k = 0; k < group; ++k) sum = fmaf(w[k], x[k], sum);
        return scaled(m, sum, scale_at(m, books, row, i));
    }
    __device__ float one(Index row, Index column) const {
        const Index i = row * m.cols + column;
        return scaled(m, level_of(m, books, i), scale_at(m, books, row, i));
    }
};

}  // namespace qlora::kernels::cuda

using namespace qlora::kernels::cuda;

extern "C" __global__ void __launch_bounds__(128)
    multiply_blockwise(const Blockwise m, const Index rows, const float* __restrict__ x, float* __restrict__ y) {
    __shared__ CodeBooks books;
    load_books(m, books);
    multiply_rows(BlockwiseProducts{m, books}, rows, x, y);
}
