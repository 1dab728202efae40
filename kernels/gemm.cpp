#include "kernels/gemm.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cpp"
#include <hwy/foreach_target.h>

#include "kernels/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
// A block of A: depth elements of some rows, each row padded so that rows do not evict each other from the
// first-level cache. A block of B: panels of `width` columns, `depth` elements deep, the columns of one depth
// side by side.
inline constexpr std::int64_t depth = 256, a_pitch = depth + 16, width = 2 * lanes;
// AVX-512 comes with second-level caches of a MiB and more, half of which the panels take.
inline constexpr std::int64_t b_columns = lanes == 16 ? 512 : 256;
// Rows of C made at a time, in as many accumulators as the registers hold beside two vectors of B and one of
// A.
inline constexpr int tile_rows = lanes == 16 ? 14 : 6;
inline constexpr std::int64_t a_rows = tile_rows * (lanes == 16 ? 6 : 14);
inline constexpr std::int64_t largest_gguf_block = 256;  // elements
// Rows of W expanded at a time.
inline constexpr std::int64_t expanded_rows = 16, expanded_pitch = std::max(depth, b_columns) + 2 * largest_gguf_block;

// The workspace's parts.
struct Workspace {
    explicit Workspace(float* memory) : a(memory), b(a + a_rows * a_pitch), expanded(b + depth * b_columns) {}
    float *a, *b, *expanded;
};
static_assert(a_rows * a_pitch + depth * b_columns + expanded_rows * expanded_pitch <= gemm_workspace);
static_assert(gemm_columns % width == 0 || lanes > 16);

// Rows of W in fp32, `pitch` floats apart.
struct Rows {
    const float* data;
    std::int64_t pitch;
};

// Elements [begin, end) of rows [row, row + count): where they lie, or expanded into `out`, GGUF's blocks
// whole.
Rows expand(const AnyMatrix& w, std::int64_t row, std::int64_t count, std::int64_t begin, std::int64_t end,
            float* out) {
    if (w.packed) {
        dequantize_part(*w.packed, row, row + count, begin, end, out, expanded_pitch);
        return {out, expanded_pitch};
    }
    if (w.format == BlockFormat::f32 && w.row_bytes % sizeof(float) == 0) {
        const std::int64_t pitch = w.row_bytes / static_cast<std::int64_t>(sizeof(float));
        return {reinterpret_cast<const float*>(w.data) + row * pitch + begin, pitch};
    }
    const std::int64_t elements = block_elements(w.format), first = begin / elements * elements;
    const std::int64_t last = std::min(w.cols, (end + elements - 1) / elements * elements);
    const std::int64_t skipped = first / elements * block_bytes(w.format);
    for (std::int64_t r = 0; r < count; ++r)
        dequantize(w.format, w.data + (row + r) * w.row_bytes + skipped, last - first,
                   out + r * expanded_pitch);
    return {out + (begin - first), expanded_pitch};
}

// Panels of the columns [j, j + columns) of W^T, elements [k, k + n): rows of W, turned. What a panel holds
// behind its last column is computed with, and never stored.
void pack_transposed(const AnyMatrix& w, std::int64_t j, std::int64_t columns, std::int64_t k, std::int64_t n,
                     const Workspace& work) {
    for (std::int64_t c = 0; c < columns; c += lanes) {
        const std::int64_t count = std::min(lanes, columns - c);
        Rows rows = expand(w, j + c, count, k, k + n, work.expanded);
        if (count < lanes &&
            rows.data != work.expanded) {  // rows behind the last may not be there to be read
            for (std::int64_t r = 0; r < count; ++r)
                std::memmove(work.expanded + r * expanded_pitch, rows.data + r * rows.pitch,
                             n * sizeof(float));
            rows = {work.expanded, expanded_pitch};
        }
        transpose_strip(rows.data, rows.pitch, n, work.b + c / width * width * depth + c % width, width);
    }
}

// Panels of the columns [j, j + columns) of W, rows [k, k + n).
void pack_plain(const AnyMatrix& w, std::int64_t j, std::int64_t columns, std::int64_t k, std::int64_t n,
                const Workspace& work) {
    for (std::int64_t row = 0; row < n; row += expanded_rows) {
        const std::int64_t count = std::min(expanded_rows, n - row);
        auto [x, pitch] = expand(w, k + row, count, j, j + columns, work.expanded);
        for (std::int64_t r = 0; r < count; ++r, x += pitch)
            for (std::int64_t c = 0; c < columns; c += width)
                std::memcpy(work.b + c * depth + (row + r) * width, x + c,
                            std::min(width, columns - c) * sizeof(float));
    }
}

// kRows rows of C by one panel's columns, over n elements.
template <int kRows>
void multiply_tile(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, std::int64_t n,
                   float* HWY_RESTRICT c, std::int64_t c_stride, std::int64_t columns, bool add) {
    Vector sums[kRows][2];
    for (auto& row : sums) row[0] = row[1] = hn::Zero(floats);
    for (std::int64_t k = 0; k < n; ++k, b += width) {
        const Vector b0 = hn::Load(floats, b), b1 = hn::Load(floats, b + lanes);
        HWY_UNROLL(16)
        for (int r = 0; r < kRows; ++r) {
            const Vector x = hn::Set(floats, a[r * a_pitch + k]);
            sums[r][0] = hn::MulAdd(x, b0, sums[r][0]);
            sums[r][1] = hn::MulAdd(x, b1, sums[r][1]);
        }
    }
    for (int r = 0; r < kRows; ++r, c += c_stride) {
        if (columns == width) {
            if (add) {
                sums[r][0] = hn::Add(sums[r][0], hn::LoadU(floats, c));
                sums[r][1] = hn::Add(sums[r][1], hn::LoadU(floats, c + lanes));
            }
            hn::StoreU(sums[r][0], floats, c);
            hn::StoreU(sums[r][1], floats, c + lanes);
        } else {
            HWY_ALIGN float row[width];
            hn::Store(sums[r][0], floats, row);
            hn::Store(sums[r][1], floats, row + lanes);
            for (std::int64_t i = 0; i < columns; ++i) c[i] = add ? c[i] + row[i] : row[i];
        }
    }
}

using Tile = void (*)(const float*, const float*, std::int64_t, float*, std::int64_t, std::int64_t, bool);
template <int... kRows>
constexpr auto tiles_of(std::integer_sequence<int, kRows...>) {
    return std::array<Tile, sizeof...(kRows)>{multiply_tile<kRows + 1>...};
}
inline constexpr auto tiles = tiles_of(std::make_integer_sequence<int, tile_rows>());  // by rows - 1

void multiply_any(const float* a, std::int64_t a_stride, std::int64_t m, const AnyMatrix& w, Side side,
                  std::int64_t begin, std::int64_t end, float* c, std::int64_t c_stride, bool add,
                  float* memory) {
    const Workspace work(memory);
    const std::int64_t inner = side == Side::transposed ? w.cols : w.rows;
    if (inner == 0 && !add)
        for (std::int64_t i = 0; i < m; ++i)
            std::fill(c + i * c_stride + begin, c + i * c_stride + end, 0.0f);
    for (std::int64_t j = begin, columns = 0; j < end; j += columns) {
        // Where a thread begins amid a GGUF block, only its first columns share the block with another's.
        columns = std::min(b_columns - j % b_columns, end - j);
        for (std::int64_t k = 0; k < inner; k += depth) {
            const std::int64_t n = std::min(depth, inner - k);
            (side == Side::transposed ? pack_transposed : pack_plain)(w, j, columns, k, n, work);
            for (std::int64_t i = 0; i < m; i += a_rows) {
                const std::int64_t rows = std::min(a_rows, m - i);
                for (std::int64_t r = 0; r < rows; ++r)
                    std::memcpy(work.a + r * a_pitch, a + (i + r) * a_stride + k, n * sizeof(float));
                // Tiles of nearly equal heights: a last one of a row or two would leave the units idle.
                const std::int64_t count = (rows + tile_rows - 1) / tile_rows;
                for (std::int64_t p = 0; p < columns; p += width)
                    for (std::int64_t t = 0; t < count; ++t) {
                        const std::int64_t first = rows * t / count, last = rows * (t + 1) / count;
                        tiles[last - first - 1](work.a + first * a_pitch, work.b + p * depth, n,
                                                c + (i + first) * c_stride + j + p, c_stride,
                                                std::min(width, columns - p), add || k > 0);
                    }
            }
        }
    }
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(multiply_any);

AnyMatrix any_matrix(const PackedRows& packed) {
    return {.rows = packed.rows, .cols = packed.cols, .packed = &packed};
}
AnyMatrix any_matrix(BlockFormat format, const void* data, std::int64_t rows, std::int64_t cols) {
    return {.rows = rows,
            .cols = cols,
            .format = format,
            .data = static_cast<const std::byte*>(data),
            .row_bytes = cols / block_elements(format) * block_bytes(format)};
}
AnyMatrix any_matrix(const float* data, std::int64_t rows, std::int64_t cols, std::int64_t stride) {
    return {.rows = rows,
            .cols = cols,
            .data = reinterpret_cast<const std::byte*>(data),
            .row_bytes = stride * 4};
}

void multiply_matrix(const float* a, std::int64_t a_stride, std::int64_t m, const AnyMatrix& w, Side side,
                     std::int64_t begin, std::int64_t end, float* c, std::int64_t c_stride, bool add,
                     float* workspace) {
    HWY_DYNAMIC_DISPATCH(multiply_any)(a, a_stride, m, w, side, begin, end, c, c_stride, add, workspace);
}

}  // namespace qlora::kernels
#endif
