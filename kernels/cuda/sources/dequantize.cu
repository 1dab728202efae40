// Rows of a blockwise quantized matrix, expanded: a tile for a product, or the rows of an embedding.
#include "kernels/cuda/sources/blockwise.cuh"

namespace qlora::kernels::cuda {

template <class Out>
__device__ inline void dequantize(const Blockwise& m, const Rows& rows, Out* out) {
    __shared__ CodeBooks books;
    load_books(m, books);
    const unsigned groups = static_cast<unsigned>((m.cols + group - 1) / group),
                   all = static_cast<unsigned>(rows.count) * groups;
    const bool whole = m.cols % group == 0;
    for (unsigned g = grid_thread(); g < all; g += grid_threads()) {
        const unsigned which = g / groups;
        const Index row = rows.ids ? rows.ids[which] : rows.first + which,
                    column = static_cast<Index>(g - which * groups) * group;
        const Index i = row * m.cols + column;
        Out* to = out + which * m.cols + column;
        if (whole) {
            float w[group];
            levels_of(m, books, i, w);
            const float scale = scale_at(m, books, row, i);
#pragma unroll
            for (int k = 0; k < group; ++k) w[k] = scaled(m, w[k], scale);
            store_group(to, w);
        } else {
            for (int k = 0; k < group && column + k < m.cols; ++k)
                narrow(scaled(m, level_of(m, books, i + k), scale_at(m, books, row, i + k)), to[k]);
        }
    }
}

}  // namespace qlora::kernels::cuda

using namespace qlora::kernels::cuda;

extern "C" __global__ void __launch_bounds__(256) dequantize_f32(const Blockwise m, const Rows rows, float* out) {
    dequantize(m, rows, out);
}
extern "C" __global__ void __launch_bounds__(256) dequantize_f16(const Blockwise m, const Rows rows, Half* out) {
    dequantize(m, rows, out);
}
extern "C" __global__ void __launch_bounds__(256) dequantize_bf16(const Blockwise m, const Rows rows, BFloat16* out) {
    dequantize(m, rows, out);
}
