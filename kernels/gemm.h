#pragma once
// Products of a matrix in fp32 or in bfloat16 with a matrix in any form: parts of the packed matrix are expanded into panels
// that stay in the caches while all rows of the other pass, so that it is never whole in fp32. The blocking
// is that of Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).

#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/packed_rows.h"

namespace qlora::kernels {

// A row-major [rows, cols] matrix: quantized by `packed`, or, where that is null, rows of GGUF blocks or
// plain numbers, each row `row_bytes` after the one before. Its owner keeps the memory.
struct AnyMatrix {
    std::int64_t rows = 0, cols = 0;
    const PackedRows* packed = nullptr;
    BlockFormat format = BlockFormat::f32;
    const std::byte* data = nullptr;
    std::int64_t row_bytes = 0;
};
AnyMatrix any_matrix(const PackedRows& packed);
AnyMatrix any_matrix(BlockFormat format, const void* data, std::int64_t rows, std::int64_t cols);
// Rows of numbers, `stride` of them apart.
AnyMatrix any_matrix(const float* data, std::int64_t rows, std::int64_t cols, std::int64_t stride);
AnyMatrix any_matrix(const std::uint16_t* bf16, std::int64_t rows, std::int64_t cols, std::int64_t stride);

// How W takes part: as its transpose, C[m, rows] = A[m, cols] W^T, or as it is, C[m, cols] = A[m, rows] W.
enum class Side : std::uint8_t { transposed, plain };

// What numbers are rounded to before they are multiplied; products are summed in fp32 either way.
enum class Arithmetic : std::uint8_t { fp32, bf16 };
// Whether this processor multiplies in bf16 by itself (AVX512-BF16). Where it does not, the kernels take fp32.
bool has_bf16_products();
// Numbers as those products take them: the nearest, ties to even; denormals become 0. Only where has_bf16_products().
void round_for_products(const float* x, std::int64_t n, std::uint16_t* out);

// Floats of a workspace, which must begin at a multiple of 64 bytes and hold numbers, whichever.
inline constexpr std::int64_t gemm_workspace = std::int64_t{184} << 10;
// Columns of C are best split between threads at multiples of this.
inline constexpr std::int64_t gemm_columns = 32;

// Whether bf16 rows so many numbers apart (a multiple of 2 KiB) fall on a few sets of the first-level cache only, so that a
// tile's do not fit together. Such an A is copied block by block; others are read where they lie.
inline bool evict_each_other(std::int64_t a_stride) {
    return a_stride % 1024 == 0;
}

// A product of few elements that is added to another in the same pass over C, A2 W2^T or A2 W2: a [m, elements], its rows
// `a_stride` apart; as many columns as the other. The elements are an even number.
struct AddedProduct {
    const std::uint16_t* a = nullptr;
    std::int64_t a_stride = 0;
    AnyMatrix w;
};
inline constexpr std::int64_t most_added_elements = 256;

// What of row i matters: [i + first, i + end).
struct Band {
    static constexpr std::int64_t far = std::int64_t{1} << 40;
    std::int64_t first = -far, end = far;
    Band turned() const { return {1 - end, 1 - first}; }  // the same of columns
};

struct Details {
    bool turned = false;       // A^T lies there, [elements, m], its rows `a_stride` apart
    Band elements{};           // of A's rows: outside of it they hold zeros, which need not be multiplied
    Band columns{};            // of C's rows: what is outside of it need not be computed, and may or may not be set
    std::int64_t origin = 0;   // the column of C that lies at `c`
    const AddedProduct* added = nullptr;  // in bf16 only; null: none
};

// Columns [begin, end) of C = A W^T or A W, or, with `add`, of C + the product; begin is a multiple of
// gemm_columns. A has m rows that lie `a_stride` numbers apart, C likewise. An element's sum
// is made in the same order however rows and columns are split. Pure, single-threaded, no allocation, no
// exceptions; any thread.
void multiply_matrix(const float* a, std::int64_t a_stride, std::int64_t m, const AnyMatrix& w, Side side,
                     std::int64_t begin, std::int64_t end, float* c, std::int64_t c_stride, bool add,
                     float* workspace, const Details& details = {});
// The same in bf16: W is rounded, sums are fp32. Only where has_bf16_products().
void multiply_matrix(const std::uint16_t* a, std::int64_t a_stride, std::int64_t m, const AnyMatrix& w, Side side,
                     std::int64_t begin, std::int64_t end, float* c, std::int64_t c_stride, bool add, float* workspace,
                     const Details& details = {});

}  // namespace qlora::kernels
