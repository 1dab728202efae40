// GGUF's tensor types (kernels/blocks.h): rows expanded, to the bit as on a CPU, and products with one vector.
#include "kernels/cuda/sources/row_products.cuh"

namespace qlora::kernels::cuda {

using Bytes = const unsigned char*;

__device__ inline float half_at(Bytes p) {
    return widen_half(*reinterpret_cast<const unsigned short*>(p));
}

// Eight bytes at an even address.
struct EightBytes {
    unsigned low, high;
    __device__ explicit EightBytes(Bytes p) {
        const auto* shorts = reinterpret_cast<const unsigned short*>(p);
        low = shorts[0] | static_cast<unsigned>(shorts[1]) << 16;
        high = shorts[2] | static_cast<unsigned>(shorts[3]) << 16;
    }
    __device__ int operator[](int i) const {
        return static_cast<int>((i < 4 ? low >> 8 * i : high >> 8 * (i - 4)) & 255);
    }
};

// Eight four-bit codes of 32: those of the first half are the bytes' low halves.
struct Nibbles {
    EightBytes bytes;
    int shift;
    __device__ Nibbles(Bytes p, int first) : bytes(p + first % 16), shift(first < 16 ? 0 : 4) {}
    __device__ int operator[](int i) const { return bytes[i] >> shift & 15; }
};

// A format: its block's size, and eight elements of a block from `first`, a multiple of eight, on.
struct F32 {
    static constexpr int elements = 1, bytes = 4;
    static __device__ float one(Bytes p) { return *reinterpret_cast<const float*>(p); }
};
struct F16 {
    static constexpr int elements = 1, bytes = 2;
    static __device__ float one(Bytes p) { return half_at(p); }
};
struct BF16 {
    static constexpr int elements = 1, bytes = 2;
    static __device__ float one(Bytes p) { return widen_bfloat16(*reinterpret_cast<const unsigned short*>(p)); }
};
struct Q8_0 {
    static constexpr int elements = 32, bytes = 34;
    static __device__ void eight(Bytes block, int first, float (&w)[group]) {
        const EightBytes codes(block + 2 + first);
        const float d = half_at(block);
#pragma unroll
        for (int i = 0; i < group; ++i) w[i] = d * static_cast<float>(static_cast<signed char>(codes[i]));
    }
};
struct Q4_0 {
    static constexpr int elements = 32, bytes = 18;
    static __device__ void eight(Bytes block, int first, float (&w)[group]) {
        const Nibbles codes(block + 2, first);
        const float d = half_at(block);
#pragma unroll
        for (int i = 0; i < group; ++i) w[i] = d * static_cast<float>(codes[i] - 8);
    }
};
struct Q4_1 {
    static constexpr int elements = 32, bytes = 20;
    static __device__ void eight(Bytes block, int first, float (&w)[group]) {
        const Nibbles codes(block + 4, first);
        const float d = half_at(block), m = half_at(block + 2);
#pragma unroll
        for (int i = 0; i < group; ++i) w[i] = d * static_cast<float>(codes[i]) + m;
    }
};
struct Q5_0 {
    static constexpr int elements = 32, bytes = 22;
    static __device__ void eight(Bytes block, int first, float (&w)[group]) {
        const Nibbles codes(block + 6, first);
        const int fifth = block[2 + first / 8];
        const float d = half_at(block);
#pragma unroll
        for (int i = 0; i < group; ++i) w[i] = d * static_cast<float>((codes[i] | (fifth >> i & 1) << 4) - 16);
    }
};
struct Q5_1 {
    static constexpr int elements = 32, bytes = 24;
    static __device__ void eight(Bytes block, int first, float (&w)[group]) {
        const Nibbles codes(block + 8, first);
        const int fifth = block[4 + first / 8];
        const float d = half_at(block), m = half_at(block + 2);
#pragma unroll
        for (int i = 0; i < group; ++i) w[i] = d * static_cast<float>(codes[i] | (fifth >> i & 1) << 4) + m;
    }
};

// Number j of the eight scales and minima of Q4_K and Q5_K (kernels/k_scales.h), as the factors they make.
struct KFactors {
    float scale, minimum;
    __device__ KFactors(Bytes block, int j) {
        const Bytes p = block + 4;
        const int s = j < 4 ? p[j] & 63 : (p[j + 4] & 15) | (p[j - 4] >> 6 << 4);
        const int m = j < 4 ? p[j + 4] & 63 : (p[j + 4] >> 4) | (p[j] >> 6 << 4);
        scale = half_at(block) * static_cast<float>(s);
        minimum = half_at(block + 2) * static_cast<float>(m);
    }
};
struct Q4_K {
    static constexpr int elements = 256, bytes = 144;
    static __device__ void eight(Bytes block, int first, float (&w)[group]) {
        const EightBytes codes(block + 16 + first / 64 * 32 + first % 32);
        const int shift = first / 32 % 2 * 4;
        const KFactors factors(block, first / 32);
#pragma unroll
        for (int i = 0; i < group; ++i)
            w[i] = factors.scale * static_cast<float>(codes[i] >> shift & 15) - factors.minimum;
    }
};
struct Q5_K {
    static constexpr int elements = 256, bytes = 176;
    static __device__ void eight(Bytes block, int first, float (&w)[group]) {
        const EightBytes codes(block + 48 + first / 64 * 32 + first % 32), fifths(block + 16 + first % 32);
        const int run = first / 32, shift = run % 2 * 4;
        const KFactors factors(block, run);
#pragma unroll
        for (int i = 0; i < group; ++i)
            w[i] = factors.scale * static_cast<float>((codes[i] >> shift & 15) | (fifths[i] >> run & 1) << 4) -
                   factors.minimum;
    }
};
struct Q6_K {
    static constexpr int elements = 256, bytes = 210;
    static __device__ void eight(Bytes block, int first, float (&w)[group]) {
        const int half = first / 128, run = first % 128 / 32, shift = run < 2 ? 0 : 4;
        const EightBytes low(block + half * 64 + run % 2 * 32 + first % 32), high(block + 128 + half * 32 + first % 32);
        const float scale =
            half_at(block + 208) * static_cast<float>(static_cast<signed char>(block[192 + first / 16]));
#pragma unroll
        for (int i = 0; i < group; ++i)
            w[i] = scale * static_cast<float>(((low[i] >> shift & 15) | (high[i] >> 2 * run & 3) << 4) - 32);
    }
};

// Eight elements from element i, a multiple of eight, on.
template <class Format>
__device__ inline void eight_at(Bytes data, Index i, float (&w)[group]) {
    if constexpr (Format::elements == 1) {
#pragma unroll
        for (int k = 0; k < group; ++k) w[k] = Format::one(data + (i + k) * Format::bytes);
    } else {
        Format::eight(data + i / Format::elements * Format::bytes, static_cast<int>(i % Format::elements), w);
    }
}

// Rows of packed formats are whole blocks; those of plain numbers may end anywhere.
template <class Format, class Out>
__device__ inline void dequantize(Bytes data, Index cols, const Rows& rows, Out* out) {
    const unsigned groups = static_cast<unsigned>((cols + group - 1) / group),
                   all = static_cast<unsigned>(rows.count) * groups;
    const bool whole = cols % group == 0;
    for (unsigned g = grid_thread(); g < all; g += grid_threads()) {
        const unsigned which = g / groups;
        const Index row = rows.ids ? rows.ids[which] : rows.first + which,
                    column = static_cast<Index>(g - which * groups) * group;
        Out* to = out + which * cols + column;
        if (whole) {
            float w[group];
            eight_at<Format>(data, row * cols + column, w);
            store_group(to, w);
        } else if constexpr (Format::elements == 1) {
            for (int k = 0; k < group && column + k < cols; ++k)
                narrow(Format::one(data + (row * cols + column + k) * Format::bytes), to[k]);
        }
    }
}

template <class Format>
struct BlockProducts {
    Bytes data;
    Index width;

    __device__ bool whole() const { return width % group == 0; }
    __device__ Index cols() const { return width; }
    __device__ float eight(Index row, Index column, const float (&x)[group]) const {
        float w[group];
        eight_at<Format>(data, row * width + column, w);
        float sum = 0;
#pragma unroll
        for (int k = 0; k < group; ++k) sum = fmaf(w[k], x[k], sum);
        return sum;
    }
    __device__ float one(Index row, Index column) const {
        if constexpr (Format::elements == 1) return Format::one(data + (row * width + column) * Format::bytes);
        return 0;  // never: rows of blocks are whole
    }
};

}  // namespace qlora::kernels::cuda

using namespace qlora::kernels::cuda;

#define QLORA_BLOCK_KERNELS(name)                                                                             \
    extern "C" __global__ void __launch_bounds__(256)                                                         \
        dequantize_##name##_f32(Bytes data, const Index cols, const Rows rows, float* out) {                  \
        dequantize<name>(data, cols, rows, out);                                                              \
    }                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                         \
        dequantize_##name##_f16(Bytes data, const Index cols, const Rows rows, Half* out) {                   \
        dequantize<name>(data, cols, rows, out);                                                              \
    }                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                         \
        dequantize_##name##_bf16(Bytes data, const Index cols, const Rows rows, BFloat16* out) {              \
        dequantize<name>(data, cols, rows, out);                                                              \
    }                                                                                                         \
    extern "C" __global__ void __launch_bounds__(128) multiply_##name(                                        \
        Bytes data, const Index cols, const Index rows, const float* __restrict__ x, float* __restrict__ y) { \
        multiply_rows(BlockProducts<name>{data, cols}, rows, x, y);                                           \
    }

QLORA_BLOCK_KERNELS(F32)
QLORA_BLOCK_KERNELS(F16)
QLORA_BLOCK_KERNELS(BF16)
QLORA_BLOCK_KERNELS(Q8_0)
QLORA_BLOCK_KERNELS(Q4_0)
QLORA_BLOCK_KERNELS(Q4_1)
QLORA_BLOCK_KERNELS(Q5_0)
QLORA_BLOCK_KERNELS(Q5_1)
QLORA_BLOCK_KERNELS(Q4_K)
QLORA_BLOCK_KERNELS(Q5_K)
QLORA_BLOCK_KERNELS(Q6_K)
