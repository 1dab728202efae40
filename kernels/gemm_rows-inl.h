// Rows of a packed matrix as products take them: in fp32 or in bf16, where they lie or expanded. Included once per instruction set.

#if defined(QLORA_KERNELS_GEMM_ROWS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef QLORA_KERNELS_GEMM_ROWS_INL_H
#undef QLORA_KERNELS_GEMM_ROWS_INL_H
#else
#define QLORA_KERNELS_GEMM_ROWS_INL_H
#endif

#include <hwy/cache_control.h>

#include "kernels/gemm.h"
#include "kernels/gemm_bf16.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {

inline constexpr std::int64_t largest_gguf_block = 256;  // elements
// Rows of W expanded at a time.
inline constexpr std::int64_t expanded_rows = 16, expanded_columns = 768, expanded_pitch = expanded_columns + 2 * largest_gguf_block;

// Rows of W, `pitch` numbers apart: in fp32, or in bf16.
template <class Number>
struct Rows {
    const Number* data;
    std::int64_t pitch;
};

// Whether W lies in memory as such numbers.
template <class Number>
bool lies_as(const AnyMatrix& w) {
    constexpr BlockFormat plain = std::is_same_v<Number, float> ? BlockFormat::f32 : BlockFormat::bf16;
    return w.packed == nullptr && w.format == plain && w.row_bytes % static_cast<std::int64_t>(sizeof(Number)) == 0;
}

// Asks for what the rows behind these are expanded from: pieces too short for the processor to see a pattern.
HWY_INLINE void prefetch_next(const AnyMatrix& w, std::int64_t row, std::int64_t count, std::int64_t begin, std::int64_t end) {
    const auto bytes_of = [&](std::int64_t n) {
        return w.packed ? packed_bytes(w.packed->code, n) : n / block_elements(w.format) * block_bytes(w.format);
    };
    const std::int64_t row_bytes = w.packed ? bytes_of(w.cols) : w.row_bytes, length = bytes_of(end - begin);
    const auto* from = (w.packed ? reinterpret_cast<const std::byte*>(w.packed->packed) : w.data) + (row + count) * row_bytes + bytes_of(begin);
    for (std::int64_t r = std::min(count, w.rows - row - count); r > 0; --r, from += row_bytes)
        for (std::int64_t at = 0; at < length; at += 64) hwy::Prefetch(from + at);
}

// Elements [begin, end) of rows [row, row + count): where they lie, or expanded into `out`, GGUF's blocks
// whole.
template <class Number>
Rows<Number> expand(const AnyMatrix& w, std::int64_t row, std::int64_t count, std::int64_t begin, std::int64_t end, Number* out) {
    if (lies_as<Number>(w)) {
        const std::int64_t pitch = w.row_bytes / static_cast<std::int64_t>(sizeof(Number));
        return {reinterpret_cast<const Number*>(w.data) + row * pitch + begin, pitch};
    }
    prefetch_next(w, row, count, begin, end);
    if constexpr (std::is_same_v<Number, std::uint16_t>)
        if (lies_as<float>(w)) {
            for (std::int64_t r = 0; r < count; ++r)
                bf16::narrow(reinterpret_cast<const float*>(w.data + (row + r) * w.row_bytes) + begin, end - begin, out + r * expanded_pitch);
            return {out, expanded_pitch};
        }
    if (w.packed) {
        dequantize_part(*w.packed, row, row + count, begin, end, out, expanded_pitch);
        return {out, expanded_pitch};
    }
    const std::int64_t elements = block_elements(w.format), first = begin / elements * elements;
    const std::int64_t last = std::min(w.cols, (end + elements - 1) / elements * elements);
    const std::int64_t skipped = first / elements * block_bytes(w.format);
    for (std::int64_t r = 0; r < count; ++r)
        dequantize(w.format, w.data + (row + r) * w.row_bytes + skipped, last - first,
                   out + r * expanded_pitch);
    return {out + (begin - first), expanded_pitch};
}

// Rows [row, row + count) of W^T's panels: as expand gives them, and `lanes` of them that may be read.
template <class Number>
Rows<Number> expand_lanes(const AnyMatrix& w, std::int64_t row, std::int64_t count, std::int64_t begin, std::int64_t end, Number* out) {
    const Rows<Number> rows = expand(w, row, count, begin, end, out);
    if (count == lanes || rows.data == out) return rows;
    for (std::int64_t r = 0; r < count; ++r)  // rows behind the last may not be there to be read
        std::memmove(out + r * expanded_pitch, rows.data + r * rows.pitch, (end - begin) * sizeof(Number));
    return {out, expanded_pitch};
}

// Rows [k, k + n) of W, columns [j, j + columns), some at a time: each(first of the rows, their count, first and last of the
// columns, the numbers).
template <class Number, class Each>
HWY_INLINE void for_expanded(const AnyMatrix& w, std::int64_t j, std::int64_t columns, std::int64_t k, std::int64_t n,
                             Number* memory, Each each) {
    for (std::int64_t row = 0; row < n; row += expanded_rows)
        for (std::int64_t first = 0; first < columns; first += expanded_columns) {
            const std::int64_t count = std::min(expanded_rows, n - row), last = std::min(columns, first + expanded_columns);
            each(row, count, first, last, expand(w, k + row, count, j + first, j + last, memory));
        }
}

}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
