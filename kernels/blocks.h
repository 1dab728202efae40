#pragma once
// GGUF's tensor types, used as they lie in the file (ggml's block layouts, little endian; ggml-common.h of
// llama.cpp and gguf-py's quants.py). Dequantized values equal gguf-py's `gguf.quants.dequantize` in fp32 bit
// for bit. All functions: pure, single-threaded over the range given, no allocation, no exceptions; any
// thread; data needs no alignment. Preconditions: cols and n are multiples of block_elements(format).

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qlora::kernels {

enum class BlockFormat : std::uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k };

// Elements and bytes of one block: 1 and 4, 2, 2 for the plain types; 32, or 256 for the k types.
std::int64_t block_elements(BlockFormat format);
std::int64_t block_bytes(BlockFormat format);
// As GGUF tools write it: "F32", "Q4_1", "Q6_K".
std::string_view block_format_name(BlockFormat format);

// n elements (a row, or several rows that follow each other) -> out [n].
void dequantize(BlockFormat format, const std::byte* data, std::int64_t n, float* out);
// The same, rounded to bf16, denormals to 0. Only where has_bf16_products() (gemm.h).
void dequantize(BlockFormat format, const std::byte* data, std::int64_t n, std::uint16_t* out);

// y[r] = sum over c of W[r, c] * x[c] for r in [row_begin, row_end); `data` is the whole matrix of rows of
// `cols` elements, x [cols], y [rows] (other entries untouched). fp32; the order of the sum depends on the
// CPU's vectors.
void multiply(BlockFormat format, const std::byte* data, std::int64_t cols, const float* x,
              std::int64_t row_begin, std::int64_t row_end, float* y);

// The same for several vectors: x [vectors, cols], y [vectors, rows]; vectors > 0.
void multiply_several(BlockFormat format, const std::byte* data, std::int64_t rows, std::int64_t cols,
                      const float* x, std::int64_t vectors, std::int64_t row_begin, std::int64_t row_end,
                      float* y);

}  // namespace qlora::kernels
