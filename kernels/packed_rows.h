#pragma once
// A matrix kept in packed form, and what one computes from it: rows expanded into a tile, and products with
// vectors. All functions: pure, single-threaded over the rows given, no allocation, no exceptions; any
// thread.

#include <cstdint>

#include "kernels/quantize.h"

namespace qlora::kernels {

// A view of a row-major [rows, cols] matrix quantized as one flat array, so that a block may reach over the
// end of a row when cols % block != 0. Its owner keeps the memory. The scales are either `absmax`, one a
// block, or, doubly quantized, `absmax_codes` with `nested_absmax` and `offset` (then `absmax` is null).
struct PackedRows {
    Code code = Code::nf4;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t block = 64;
    const std::uint8_t* packed = nullptr;        // [packed_bytes(code, rows * cols)]
    const float* absmax = nullptr;               // [block_count(rows * cols, block)]
    const std::uint8_t* absmax_codes = nullptr;  // [block_count(rows * cols, block)]
    const float* nested_absmax = nullptr;        // [block_count(of the above, nested_block)]
    float offset = 0;
};

// Rows [row_begin, row_end) -> out [row_end - row_begin, cols], the values dequantize() gives, bit for bit.
void dequantize_rows(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end, float* out);
// Columns [col_begin, col_end) of the same rows -> out, whose rows lie `stride` floats apart.
void dequantize_part(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                     std::int64_t col_begin, std::int64_t col_end, float* out, std::int64_t stride);
// The same, rounded to bf16, denormals to 0. Only where has_bf16_products() (gemm.h).
void dequantize_part(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                     std::int64_t col_begin, std::int64_t col_end, std::uint16_t* out, std::int64_t stride);

// y[r] = sum over c of W[r, c] * x[c] for r in [row_begin, row_end); x [cols], y [rows] (other entries
// untouched). Straight from the packed form, in fp32; the order of the sum depends on the CPU's vectors, not
// on the row range.
void multiply(const PackedRows& matrix, const float* x, std::int64_t row_begin, std::int64_t row_end,
              float* y);

// The same for several vectors: x [vectors, cols], y [vectors, rows]; vectors > 0. Each row is expanded once
// for up to eight vectors.
void multiply_several(const PackedRows& matrix, const float* x, std::int64_t vectors, std::int64_t row_begin,
                      std::int64_t row_end, float* y);

}  // namespace qlora::kernels
