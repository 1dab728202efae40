#pragma once
// Elements of a blockwise quantized matrix, dequantized as kernels/packed_rows.h does, to the bit.

#include "kernels/cuda/sources/common.cuh"

namespace qlora::kernels::cuda {

// Dequantized int8 is (code * absmax) * int8_step, rounded in this order.
constexpr float int8_step = 7.874015718698502e-3f;

// Code books, in shared memory: every lane asks for another level.
struct CodeBooks {
    float levels[four_bit_levels];
    float map[256];
};
__device__ inline void load_books(const Blockwise& m, CodeBooks& books) {
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
        if (i < four_bit_levels && m.levels) books.levels[i] = m.levels[i];
        if (!m.absmax) books.map[i] = m.map[i];
    }
    __syncthreads();
}

__device__ inline float scale_of(const Blockwise& m, const CodeBooks& books, Index block) {
    if (m.absmax) return m.absmax[block];
    return books.map[m.absmax_codes[block]] * m.nested_absmax[block >> 8] + m.offset;
}

// The code's value of element i, and what it is multiplied by.
__device__ inline float level_of(const Blockwise& m, const CodeBooks& books, Index i) {
    if (!m.levels) return static_cast<signed char>(m.packed[i]);
    const int byte = m.packed[i / 2];
    return books.levels[i % 2 == 0 ? byte >> 4 : byte & 15];
}
__device__ inline float scale_at(const Blockwise& m, const CodeBooks& books, Index row, Index i) {
    return scale_of(m, books, m.levels && m.block_shift >= 0 ? i >> m.block_shift : row);
}
__device__ inline float scaled(const Blockwise& m, float level, float scale) {
    return m.levels ? level * scale : level * scale * int8_step;
}

// Eight codes from element i, a multiple of eight, on; they share a scale.
__device__ inline void levels_of(const Blockwise& m, const CodeBooks& books, Index i, float (&w)[group]) {
    if (m.levels) {
        const unsigned word = *reinterpret_cast<const unsigned*>(m.packed + i / 2);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            w[2 * k] = books.levels[word >> (8 * k + 4) & 15];
            w[2 * k + 1] = books.levels[word >> 8 * k & 15];
        }
    } else {
        const uint2 words = *reinterpret_cast<const uint2*>(m.packed + i);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            w[k] = static_cast<signed char>(words.x >> 8 * k & 255);
            w[k + 4] = static_cast<signed char>(words.y >> 8 * k & 255);
        }
    }
}

}  // namespace qlora::kernels::cuda
