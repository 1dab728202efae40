#include "kernels/gemm.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "kernels/gemm_bf16.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cpp"
#include <hwy/foreach_target.h>

#include "kernels/gemm_rows-inl.h"
#include "kernels/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
// A block of A: some elements of some rows, each row padded so that rows do not evict each other from the
// first-level cache. A block of B: panels of `width` columns, the columns of one element side by side; in bf16
// the columns of two elements that follow each other, each column's two together.
inline constexpr std::int64_t width = 2 * lanes;
// AVX-512 comes with second-level caches of a MiB and more, half of which the panels take.
inline constexpr std::int64_t b_columns = lanes == 16 ? 512 : 256;
// Rows of C made at a time, in as many accumulators as the registers hold beside two vectors of B and one of
// A.
inline constexpr int tile_rows = lanes == 16 ? 14 : 6;
inline constexpr std::int64_t a_rows = tile_rows * (lanes == 16 ? 6 : 14);
// Elements of a block at most, and bytes of a row of A packed.
inline constexpr std::int64_t fp32_depth = 256, bf16_depth = 768, a_pitch_bytes = bf16_depth * 2 + 64;
static_assert(expanded_columns >= bf16_depth && a_pitch_bytes >= fp32_depth * 4);

// The workspace's parts, in floats.
inline constexpr std::int64_t a_floats = a_rows * a_pitch_bytes / 4, b_floats = b_columns * fp32_depth,
                              expanded_floats = expanded_rows * expanded_pitch;
static_assert(a_floats + b_floats + expanded_floats <= gemm_workspace);
static_assert(gemm_columns % width == 0 || lanes > 16);
static_assert(lanes != 16 || (bf16::panel_columns == width && bf16::tile_rows == tile_rows));

inline constexpr std::int64_t a_pitch = a_pitch_bytes / 4;

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

// Where elements go in panels that hold `depth` in all.
struct PanelPart {
    std::int64_t depth, first;
};
// Elements of a block.
struct Span {
    std::int64_t begin, end;
};

// How blocks are packed and multiplied. What a panel holds behind its last column is computed with, and never
// stored.
class Fp32 {
  public:
    static constexpr std::int64_t depth = fp32_depth, bytes = 4;
    Fp32(const float* a, std::int64_t stride, const Details& details, float* memory)
        : from_(a), stride_(stride), turned_(details.turned), a_(memory), b_(memory + a_floats), expanded_(b_ + b_floats) {}

    static std::int64_t padded(std::int64_t n) { return n; }  // elements that n take in a panel
    static bool in_place(std::int64_t) { return false; }
    // The block of A: rows [i, i + rows), elements [k, k + n).
    void take_rows(std::int64_t i, std::int64_t rows, std::int64_t k, std::int64_t n) {
        if (turned_) return transpose_matrix(from_ + k * stride_ + i, stride_, n, rows, a_, a_pitch);
        for (std::int64_t r = 0; r < rows; ++r) std::memcpy(a_ + r * a_pitch, from_ + (i + r) * stride_ + k, n * sizeof(float));
    }
    // Panels of the columns [j, j + columns) of W^T, elements [k, k + n): rows of W, turned.
    void pack_transposed(const AnyMatrix& w, std::int64_t j, std::int64_t columns, std::int64_t k, std::int64_t n, PanelPart) const {
        for (std::int64_t c = 0; c < columns; c += lanes) {
            const auto rows = expand_lanes(w, j + c, std::min(lanes, columns - c), k, k + n, expanded_);
            transpose_strip(rows.data, rows.pitch, n, b_ + c / width * width * n + c % width, width);
        }
    }
    // Panels of the columns [j, j + columns) of W, rows [k, k + n).
    void pack_plain(const AnyMatrix& w, std::int64_t j, std::int64_t columns, std::int64_t k, std::int64_t n, PanelPart) const {
        for_expanded(w, j, columns, k, n, expanded_, [&](std::int64_t row, std::int64_t count, std::int64_t first, std::int64_t last, Rows<float> x) {
            for (std::int64_t r = 0; r < count; ++r, x.data += x.pitch)
                for (std::int64_t c = first; c < last; c += width)
                    std::memcpy(b_ + c * n + (row + r) * width, x.data + c - first, std::min(width, last - c) * sizeof(float));
        });
    }
    // The elements `span` of n, of rows [first, last) of the block of A, by the panel that begins at column p.
    void multiply(std::int64_t first, std::int64_t last, std::int64_t p, std::int64_t n, Span span, std::int64_t, float* c, std::int64_t c_stride,
                  std::int64_t columns, bool add) const {
        tiles[last - first - 1](a_ + first * a_pitch + span.begin, b_ + p * n + span.begin * width, span.end - span.begin, c, c_stride, columns, add);
    }

  private:
    const float* from_;
    std::int64_t stride_;
    bool turned_;
    float *a_, *b_, *expanded_;
};

#if QLORA_AVX512
class Bf16 {
  public:
    static constexpr std::int64_t depth = bf16_depth, bytes = 2;
    Bf16(const std::uint16_t* a, std::int64_t stride, const Details& details, float* memory)
        : from_(a), stride_(stride), turned_(details.turned), added_(details.added), a_(reinterpret_cast<std::uint16_t*>(memory)),
          b_(reinterpret_cast<std::uint16_t*>(memory + a_floats)), expanded_(reinterpret_cast<std::uint16_t*>(memory + a_floats + b_floats)) {}

    static std::int64_t padded(std::int64_t n) { return (n + 1) / 2 * 2; }
    bool in_place(std::int64_t n) const { return !turned_ && n % 2 == 0 && !evict_each_other(stride_); }
    void take_rows(std::int64_t i, std::int64_t rows, std::int64_t k, std::int64_t n) {
        row_ = i;
        block_ = {.a = a_, .pitch = a_pitch_bytes / 2};
        if (in_place(n)) {
            block_.a = from_ + i * stride_ + k;
            block_.pitch = stride_;
        } else if (turned_) {
            block_.pitch = 2;
            block_.step = 2 * rows;
            bf16::pair_columns(from_ + k * stride_ + i, stride_, n, rows, a_);
        } else {
            for (std::int64_t r = 0; r < rows; ++r) {
                std::memcpy(a_ + r * block_.pitch, from_ + (i + r) * stride_ + k, n * sizeof(*a_));
                if (n % 2 != 0) a_[r * block_.pitch + n] = 0;
            }
        }
    }
    void pack_transposed(const AnyMatrix& w, std::int64_t j, std::int64_t columns, std::int64_t k, std::int64_t n, PanelPart part) const {
        for (std::int64_t c = 0; c < columns; c += lanes) {
            Rows<std::uint16_t> rows = expand_lanes(w, j + c, std::min(lanes, columns - c), k, k + n, expanded_);
            if (n % 2 != 0 || rows.pitch % 2 != 0) rows = with_zeros(rows, std::min(lanes, columns - c), n);
            // A pair of bf16 moves like a float.
            transpose_strip(reinterpret_cast<const float*>(rows.data), rows.pitch / 2, padded(n) / 2,
                            reinterpret_cast<float*>(b_ + c / width * width * part.depth + part.first * width) + c % width, width);
        }
    }
    void pack_plain(const AnyMatrix& w, std::int64_t j, std::int64_t columns, std::int64_t k, std::int64_t n, PanelPart part) const {
        for_expanded(w, j, columns, k, n, expanded_,
                     [&](std::int64_t row, std::int64_t count, std::int64_t first, std::int64_t last, Rows<std::uint16_t> x) {
                         bf16::pair_rows(x.data, x.pitch, count, last - first, b_ + first * part.depth + (part.first + row) * width, width * part.depth);
                     });
    }
    // The last `more` elements of the panel are those of the added product.
    void multiply(std::int64_t first, std::int64_t last, std::int64_t p, std::int64_t n, Span span, std::int64_t more, float* c, std::int64_t c_stride,
                  std::int64_t columns, bool add) const {
        const std::int64_t own = padded(n), begin = span.begin / 2 * 2;
        const std::uint16_t* panel = b_ + p * (own + more);
        bf16::Strip strip = block_, added;
        strip.a += first * strip.pitch + begin / 2 * strip.step;
        strip.panel = panel + begin * width;
        strip.n = padded(span.end) - begin;
        if (more > 0) added = {.a = added_->a + (row_ + first) * added_->a_stride, .pitch = added_->a_stride, .n = more, .panel = panel + own * width};
        bf16::multiply_tile(static_cast<int>(last - first), strip, added, c, c_stride, columns, add);
    }

  private:
    // The rows with a zero behind the last number, and an even pitch.
    Rows<std::uint16_t> with_zeros(Rows<std::uint16_t> rows, std::int64_t count, std::int64_t n) const {
        for (std::int64_t r = 0; r < count; ++r) {
            std::memmove(expanded_ + r * expanded_pitch, rows.data + r * rows.pitch, n * sizeof(std::uint16_t));
            expanded_[r * expanded_pitch + n] = 0;
        }
        return {expanded_, expanded_pitch};
    }

    const std::uint16_t* from_;
    std::int64_t stride_;
    bool turned_;
    const AddedProduct* added_;
    bf16::Strip block_;     // of A, without a panel
    std::int64_t row_ = 0;  // its first
    std::uint16_t *a_, *b_, *expanded_;
};
#endif

// How many of n, at most `most`, a block takes so that all are nearly alike: a last one of a few would read and write C, or
// pack A, for little. A multiple of `unit`, where vectors and GGUF's blocks begin.
std::int64_t even_part(std::int64_t n, std::int64_t most, std::int64_t unit) {
    const std::int64_t blocks = (n + most - 1) / most;
    return std::min(most, ((n + blocks - 1) / blocks + unit - 1) / unit * unit);
}

template <class Numbers>
void multiply_in(Numbers numbers, std::int64_t m, const AnyMatrix& w, Side side,
                 std::int64_t begin, std::int64_t end, float* c, std::int64_t c_stride, bool add, const Details& details) {
    const auto& [turned, elements, wanted, origin, added] = details;
    const std::int64_t inner = side == Side::transposed ? w.cols : w.rows;
    if (inner == 0) {
        for (std::int64_t i = 0; i < m && !add; ++i) std::fill_n(c + i * c_stride + begin - details.origin, end - begin, 0.0f);
        return;
    }
    const std::int64_t unit = w.packed ? 32 : std::max<std::int64_t>(32, block_elements(w.format));
    const std::int64_t depth = even_part(inner, Numbers::depth, side == Side::transposed ? unit : 32);
    const std::int64_t added_elements = added == nullptr ? 0 : side == Side::transposed ? added->w.cols : added->w.rows;
    // As many columns as the panels' memory holds, at that depth.
    const std::int64_t most = b_floats * 4 / Numbers::bytes / (depth + added_elements) / unit * unit, part = even_part(end - begin, most, side == Side::plain ? unit : 32);
    for (std::int64_t j = begin, columns = 0; j < end; j += columns) {
        // Where a thread begins amid a GGUF block, only its first columns share the block with another's.
        columns = std::min(part - (side == Side::plain ? j % unit : 0), end - j);
        for (std::int64_t k = 0; k < inner; k += depth) {
            const std::int64_t n = std::min(depth, inner - k), more = k + n == inner ? added_elements : 0, own = numbers.padded(n);
            const auto pack = [&](const AnyMatrix& from, std::int64_t first, std::int64_t count, PanelPart to) {
                if (side == Side::transposed) numbers.pack_transposed(from, j, columns, first, count, to);
                else numbers.pack_plain(from, j, columns, first, count, to);
            };
            pack(w, k, n, {own + more, 0});
            if (more > 0) pack(added->w, 0, more, {own + more, own});
            // Where rows are read in place, a tile's stay in the first-level cache while all panels pass; packed ones, of which there are
            // fewer at a time, pass by a panel that stays.
            const bool in_place = numbers.in_place(n);
            const std::int64_t block = in_place ? m : a_rows;
            for (std::int64_t i = 0; i < m; i += block) {
                const std::int64_t rows = std::min(block, m - i);
                numbers.take_rows(i, rows, k, n);
                // Tiles of nearly equal heights: a last one of a row or two would leave the units idle.
                const std::int64_t count = (rows + tile_rows - 1) / tile_rows;
                const auto multiply = [&](std::int64_t first, std::int64_t last, std::int64_t p) {
                    const std::int64_t top = i + first, bottom = i + last - 1;
                    if (j + p >= bottom + wanted.end || j + p + width <= top + wanted.first) return;
                    Span span{std::clamp<std::int64_t>(top + elements.first - k, 0, n), std::clamp<std::int64_t>(bottom + elements.end - k, 0, n)};
                    if (span.begin >= span.end) span = {0, 0};
                    numbers.multiply(first, last, p, n, span, more, c + top * c_stride + j - origin + p, c_stride,
                                     std::min(width, columns - p), add || k > 0);
                };
                if (in_place) {
                    for (std::int64_t t = 0; t < count; ++t) {
                        const std::int64_t first = rows * t / count, last = rows * (t + 1) / count;
                        for (std::int64_t p = 0; p < columns; p += width) multiply(first, last, p);
                    }
                    continue;
                }
                std::array<std::int64_t, a_rows / tile_rows + 1> edges;
                for (std::int64_t t = 0; t <= count; ++t) edges[static_cast<std::size_t>(t)] = rows * t / count;
                for (std::int64_t p = 0; p < columns; p += width)
                    for (std::size_t t = 0; t < static_cast<std::size_t>(count); ++t) multiply(edges[t], edges[t + 1], p);
            }
        }
    }
}

void multiply_fp32(const float* a, std::int64_t a_stride, std::int64_t m, const AnyMatrix& w, Side side, std::int64_t begin,
                   std::int64_t end, float* c, std::int64_t c_stride, bool add, float* memory, const Details& details) {
    multiply_in(Fp32(a, a_stride, details, memory), m, w, side, begin, end, c, c_stride, add, details);
}

void multiply_bf16(const std::uint16_t* a, std::int64_t a_stride, std::int64_t m, const AnyMatrix& w, Side side, std::int64_t begin,
                   std::int64_t end, float* c, std::int64_t c_stride, bool add, float* memory, const Details& details) {
#if QLORA_AVX512
    multiply_in(Bf16(a, a_stride, details, memory), m, w, side, begin, end, c, c_stride, add, details);
#endif
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(multiply_fp32);
HWY_EXPORT(multiply_bf16);

void round_for_products(const float* x, std::int64_t n, std::uint16_t* out) {
    const std::int64_t even = n / 2 * 2;  // narrow() ends an odd row with a zero
    bf16::narrow(x, even, out);
    if (even == n) return;
    std::uint16_t last[2];
    bf16::narrow(x + even, 1, last);
    out[even] = last[0];
}

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
AnyMatrix any_matrix(const std::uint16_t* bf16, std::int64_t rows, std::int64_t cols, std::int64_t stride) {
    return {.rows = rows,
            .cols = cols,
            .format = BlockFormat::bf16,
            .data = reinterpret_cast<const std::byte*>(bf16),
            .row_bytes = stride * 2};
}

void multiply_matrix(const float* a, std::int64_t a_stride, std::int64_t m, const AnyMatrix& w, Side side,
                     std::int64_t begin, std::int64_t end, float* c, std::int64_t c_stride, bool add,
                     float* workspace, const Details& details) {
    HWY_DYNAMIC_DISPATCH(multiply_fp32)(a, a_stride, m, w, side, begin, end, c, c_stride, add, workspace, details);
}

void multiply_matrix(const std::uint16_t* a, std::int64_t a_stride, std::int64_t m, const AnyMatrix& w, Side side,
                     std::int64_t begin, std::int64_t end, float* c, std::int64_t c_stride, bool add, float* workspace,
                     const Details& details) {
    HWY_DYNAMIC_DISPATCH(multiply_bf16)(a, a_stride, m, w, side, begin, end, c, c_stride, add, workspace, details);
}

}  // namespace qlora::kernels
#endif
