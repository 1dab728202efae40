#include "kernels/packed_rows.h"

#include <algorithm>

#include "kernels/code_tables.h"
#include "kernels/gemm_bf16.h"
#include "kernels/reference.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/packed_rows.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>

#include "kernels/expand-inl.h"
#include "kernels/half-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

void dequantize_elements(const PackedRows& matrix, std::int64_t begin, std::int64_t count, float* out) {
    PackedRows flat = matrix;
    flat.cols = 1;  // the reference then counts elements as rows
    reference::dequantize_rows(flat, begin, begin + count, out);
}

void dequantize_columns(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                        std::int64_t col_begin, std::int64_t col_end, float* out, std::int64_t stride) {
    for (std::int64_t row = row_begin; row < row_end; ++row, out += stride)
        dequantize_elements(matrix, row * matrix.cols + col_begin, col_end - col_begin, out);
}

void multiply_rows(const PackedRows& matrix, const float* x, std::int64_t vectors, std::int64_t row_begin,
                   std::int64_t row_end, float* y) {
    for (std::int64_t v = 0; v < vectors; ++v)
        reference::multiply(matrix, x + v * matrix.cols, row_begin, row_end, y + v * matrix.rows);
}

#else

// What depends on the kind of code: the vectors of its levels, the level of one element, where an element's
// codes lie (a whole byte), and a level times its block's absmax.
struct FourBit {
    using Levels = FourBitLevels;
    static HWY_INLINE float level(const float* table, const std::uint8_t* packed, std::int64_t i) {
        return table[i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15];
    }
    static HWY_INLINE std::int64_t byte_of(std::int64_t i) { return i / 2; }
    static HWY_INLINE float scaled(float level, float absmax) { return level * absmax; }
    static HWY_INLINE Vector scaled(Vector level, Vector absmax) { return hn::Mul(level, absmax); }
};

struct EightBit {
    using Levels = Int8Levels;
    static HWY_INLINE float level(const float*, const std::uint8_t* packed, std::int64_t i) {
        return static_cast<std::int8_t>(packed[i]);
    }
    static HWY_INLINE std::int64_t byte_of(std::int64_t i) { return i; }
    static HWY_INLINE float scaled(float level, float absmax) { return level * absmax * int8_step; }
    static HWY_INLINE Vector scaled(Vector level, Vector absmax) {
        return hn::Mul(hn::Mul(level, absmax), hn::Set(floats, int8_step));
    }
};

HWY_INLINE float absmax_of(const PackedRows& matrix, const float* map, std::int64_t block) {
    if (matrix.absmax) return matrix.absmax[block];
    return map[matrix.absmax_codes[block]] * matrix.nested_absmax[block / nested_block] + matrix.offset;
}

// Stores weights, past the caches where they are too many to be read again soon.
template <class Kind, bool kStream>
struct StoreScaled {
    float* out;
    Vector absmax;
    HWY_INLINE void operator()(std::int64_t c0, Vector level0, std::int64_t c1, Vector level1) const {
        store(Kind::scaled(level0, absmax), out + c0);
        store(Kind::scaled(level1, absmax), out + c1);
    }
    static HWY_INLINE void store(Vector weights, float* to) {
        if (kStream)
            hn::Stream(weights, floats, to);
        else
            hn::StoreU(weights, floats, to);
    }
};
inline constexpr std::int64_t stream_from = std::int64_t{2} << 20;  // elements: beyond second-level caches

// Elements [begin, end) of one block: at most one to reach a whole byte, chunks, and the rest one by one.
struct Span {
    Span(std::int64_t begin, std::int64_t end)
        : chunks_begin(begin + begin % 2), chunks_end(end - (end - chunks_begin) % chunk), end(end) {}
    std::int64_t chunks_begin, chunks_end, end;
};

template <class Kind, bool kStream>
void dequantize_range(const PackedRows& matrix, const typename Kind::Levels& expander, std::int64_t begin,
                      std::int64_t range_end, float* out) {
    const float *map = dynamic_map().data(), *table = levels(matrix.code).data();
    const std::uint8_t* packed = matrix.packed;
    std::int64_t i = begin;
    for (std::int64_t block = begin / matrix.block; i < range_end; ++block) {
        const Span span(i, std::min(range_end, (block + 1) * matrix.block));
        const float absmax = absmax_of(matrix, map, block);
        const StoreScaled<Kind, kStream> store{out, hn::Set(floats, absmax)};
        const auto store_single = [&](std::int64_t at) HWY_ATTR {
            out[at - begin] = Kind::scaled(Kind::level(table, packed, at), absmax);
        };
        for (; i < span.chunks_begin; ++i) store_single(i);
        for (; i < span.chunks_end; i += chunk) expander.expand(packed + Kind::byte_of(i), i - begin, store);
        for (; i < span.end; ++i) store_single(i);
    }
}

// Sums products of weights made from levels.
template <class Kind, int kVectors>
struct AccumulateScaled {
    Accumulate<kVectors> sums;
    Vector absmax;
    HWY_INLINE void operator()(std::int64_t c0, Vector level0, std::int64_t c1, Vector level1) {
        sums(c0, Kind::scaled(level0, absmax), c1, Kind::scaled(level1, absmax));
    }
};

// Adds to y the kVectors products of each row's columns [column_begin, column_end), of which `x` holds the
// first at 0. The few elements outside chunks are added to y in memory, to leave the registers to the others.
template <class Kind, int kVectors>
void multiply_panel(const PackedRows& matrix, const float* x, std::int64_t stride, std::int64_t column_begin,
                    std::int64_t column_end, std::int64_t row_begin, std::int64_t row_end, float* y) {
    const typename Kind::Levels expander(matrix.code);
    const float *map = dynamic_map().data(), *table = levels(matrix.code).data();
    const std::uint8_t* packed = matrix.packed;
    for (std::int64_t row = row_begin; row < row_end; ++row) {
        const std::int64_t begin = row * matrix.cols + column_begin, limit = row * matrix.cols + column_end;
        AccumulateScaled<Kind, kVectors> accumulate{Accumulate<kVectors>(x, stride), hn::Zero(floats)};
        std::int64_t i = begin;
        for (std::int64_t block = begin / matrix.block; i < limit; ++block) {
            const Span span(i, std::min(limit, (block + 1) * matrix.block));
            const float absmax = absmax_of(matrix, map, block);
            const auto add_single = [&](std::int64_t at) HWY_ATTR {
                const float weight = Kind::scaled(Kind::level(table, packed, at), absmax);
                for (int v = 0; v < kVectors; ++v)
                    y[v * matrix.rows + row] += weight * x[v * stride + at - begin];
            };
            accumulate.absmax = hn::Set(floats, absmax);
            for (; i < span.chunks_begin; ++i) add_single(i);
            for (; i < span.chunks_end; i += chunk) {
                // A panel's part of a row is too short for the CPU to see what comes next.
                if (kVectors > 1) hwy::Prefetch(packed + Kind::byte_of(i + matrix.cols));
                expander.expand(packed + Kind::byte_of(i), i - begin, accumulate);
            }
            for (; i < span.end; ++i) add_single(i);
        }
        for (int v = 0; v < kVectors; ++v)
            y[v * matrix.rows + row] += hn::GetLane(hn::SumOfLanes(floats, accumulate.sums.sum(v)));
    }
}

template <class Kind>
void multiply_all(const PackedRows& matrix, const float* x, std::int64_t vectors, std::int64_t row_begin,
                  std::int64_t row_end, float* y) {
    for (std::int64_t v = 0; v < vectors; ++v)
        std::fill(y + v * matrix.rows + row_begin, y + v * matrix.rows + row_end, 0.0f);
    for_vectors(vectors, [&](auto count, std::int64_t v) HWY_ATTR {
        for_panels<count>(x + v * matrix.cols, matrix.cols,
                          [&](const float* part, std::int64_t stride, std::int64_t begin, std::int64_t end)
                              HWY_ATTR {
                                  multiply_panel<Kind, count>(matrix, part, stride, begin, end, row_begin,
                                                              row_end, y + v * matrix.rows);
                              });
    });
}

template <class Kind>
void dequantize_kind(const PackedRows& matrix, std::int64_t begin, std::int64_t count, float* out) {
    // Streamed stores must be aligned: chunks then begin at multiples of 32 elements of an aligned array.
    const bool aligned = reinterpret_cast<std::uintptr_t>(out) % (lanes * sizeof(float)) == 0 &&
                         begin % chunk == 0 && matrix.block % chunk == 0;
    const typename Kind::Levels expander(matrix.code);
    if (aligned && count >= stream_from) {
        dequantize_range<Kind, true>(matrix, expander, begin, begin + count, out);
        hwy::FlushStream();
    } else {
        dequantize_range<Kind, false>(matrix, expander, begin, begin + count, out);
    }
}

template <class Kind>
void dequantize_columns_kind(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                             std::int64_t col_begin, std::int64_t col_end, float* out, std::int64_t stride) {
    const typename Kind::Levels expander(matrix.code);
    for (std::int64_t row = row_begin; row < row_end; ++row, out += stride)
        dequantize_range<Kind, false>(matrix, expander, row * matrix.cols + col_begin,
                                      row * matrix.cols + col_end, out);
}

void dequantize_elements(const PackedRows& matrix, std::int64_t begin, std::int64_t count, float* out) {
    if (matrix.code == Code::int8)
        dequantize_kind<EightBit>(matrix, begin, count, out);
    else
        dequantize_kind<FourBit>(matrix, begin, count, out);
}

void dequantize_columns(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                        std::int64_t col_begin, std::int64_t col_end, float* out, std::int64_t stride) {
    if (matrix.code == Code::int8)
        dequantize_columns_kind<EightBit>(matrix, row_begin, row_end, col_begin, col_end, out, stride);
    else
        dequantize_columns_kind<FourBit>(matrix, row_begin, row_end, col_begin, col_end, out, stride);
}

#if QLORA_AVX512
inline constexpr std::int64_t panel_columns = 4096;

// x with the even and the odd elements of each chunk side by side, as its first and its second codes are looked up.
void part_chunks(const float* x, std::int64_t n, float* out) {
    alignas(64) static constexpr std::int32_t even[16] = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
    const __m512i first = _mm512_load_si512(even), second = _mm512_add_epi32(first, _mm512_set1_epi32(1));
    for (std::int64_t i = 0; i < n; i += chunk) {
        const __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + 16);
        _mm512_store_ps(out + i, _mm512_permutex2var_ps(a, first, b));
        _mm512_store_ps(out + i + 16, _mm512_permutex2var_ps(a, second, b));
    }
}

// Adds to y the products of kRows rows' columns [begin, end), blocks that are whole, with parted x. A block's levels are summed up
// before its absmax comes in.
template <int kRows>
void multiply_whole_blocks(const PackedRows& matrix, const float* map, __m512 levels_of_code, const float* x, std::int64_t begin, std::int64_t end,
                           std::int64_t row, float* y) {
    const std::uint8_t* packed[kRows];
    __m512 sums[kRows];
    for (int r = 0; r < kRows; ++r) {
        packed[r] = matrix.packed + ((row + r) * matrix.cols + begin) / 2;
        sums[r] = _mm512_setzero_ps();
    }
    const std::int64_t of_row = matrix.cols / matrix.block;
    for (std::int64_t block = begin / matrix.block; block < end / matrix.block; ++block) {
        __m512 in_block[kRows];
        for (auto& sum : in_block) sum = _mm512_setzero_ps();
        for (const float* stop = x + matrix.block; x < stop; x += chunk) {
            const __m512 first = _mm512_load_ps(x), second = _mm512_load_ps(x + 16);
            for (int r = 0; r < kRows; ++r) {
                // The high half of a byte is the first code; a look-up takes the low four bits of an index.
                const __m512i codes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed[r])));
                in_block[r] = _mm512_fmadd_ps(_mm512_permutexvar_ps(_mm512_srli_epi32(codes, 4), levels_of_code), first, in_block[r]);
                in_block[r] = _mm512_fmadd_ps(_mm512_permutexvar_ps(codes, levels_of_code), second, in_block[r]);
                packed[r] += chunk / 2;
            }
        }
        for (int r = 0; r < kRows; ++r)
            sums[r] = _mm512_fmadd_ps(in_block[r], _mm512_set1_ps(absmax_of(matrix, map, (row + r) * of_row + block)), sums[r]);
    }
    for (int r = 0; r < kRows; ++r) y[row + r] += sum_of(Vector{sums[r]});
}

// Of rows of whole blocks, by one vector.
void multiply_four_bit(const PackedRows& matrix, const float* x, std::int64_t row_begin, std::int64_t row_end, float* y) {
    constexpr int together = 4;
    const float* map = dynamic_map().data();
    const __m512 levels_of_code = _mm512_loadu_ps(levels(matrix.code).data());
    const std::int64_t width = panel_columns / matrix.block * matrix.block;
    alignas(64) float parted[panel_columns];
    std::fill(y + row_begin, y + row_end, 0.0f);
    for (std::int64_t begin = 0; begin < matrix.cols; begin += width) {
        const std::int64_t end = std::min(matrix.cols, begin + width);
        part_chunks(x + begin, end - begin, parted);
        std::int64_t row = row_begin;
        for (; row + together <= row_end; row += together) multiply_whole_blocks<together>(matrix, map, levels_of_code, parted, begin, end, row, y);
        for (; row < row_end; ++row) multiply_whole_blocks<1>(matrix, map, levels_of_code, parted, begin, end, row, y);
    }
}

// Elements [i, end) of one block. Four-bit codes pick from the sixteen levels times absmax, rounded beforehand, 32 at a time.
void narrow_four_bit(const std::uint8_t* packed, Vector block_levels, float absmax, std::int64_t i, std::int64_t end, std::uint16_t* out) {
    const __m256i rounded = narrow_bf16_by_processor(hn::Mul(block_levels, hn::Set(floats, absmax)).raw);
    const __m512i table = _mm512_castsi256_si512(rounded);
    if (i % 2 != 0 && i < end) {
        std::uint16_t one[16];
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(one), rounded);
        *out++ = one[packed[i / 2] & 15];
        ++i;
    }
    for (; i < end; i += 32, out += 32) {
        const std::int64_t n = std::min<std::int64_t>(32, end - i);
        const __m128i bytes = n == 32 ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed + i / 2))
                                      : _mm_maskz_loadu_epi8(bf16::below((n + 1) / 2), packed + i / 2);
        // The high half of a byte is the first code.
        const __m512i words = _mm512_cvtepu8_epi32(bytes), second = _mm512_slli_epi32(_mm512_and_si512(words, _mm512_set1_epi32(15)), 16);
        const __m512i values = _mm512_permutexvar_epi16(_mm512_or_si512(_mm512_srli_epi32(words, 4), second), table);
        if (n == 32) _mm512_storeu_si512(out, values);
        else _mm512_mask_storeu_epi16(out, (__mmask32{1} << n) - 1, values);
    }
}

void narrow_eight_bit(const std::uint8_t* packed, float absmax, std::int64_t i, std::int64_t end, std::uint16_t* out) {
    const Vector scale = hn::Set(floats, absmax);
    for (; i < end; i += 16, out += 16) {
        const __mmask16 mask = bf16::below(end - i);
        const __m512 levels = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, packed + i)));
        _mm256_mask_storeu_epi16(out, mask, narrow_bf16_by_processor(EightBit::scaled(Vector{levels}, scale).raw));
    }
}

void narrow_columns(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end, std::int64_t col_begin, std::int64_t col_end,
                    std::uint16_t* out, std::int64_t stride) {
    const float* map = dynamic_map().data();
    const bool eight = matrix.code == Code::int8;
    const Vector levels_of_code = eight ? hn::Zero(floats) : hn::LoadU(floats, levels(matrix.code).data());
    for (std::int64_t row = row_begin; row < row_end; ++row, out += stride) {
        const std::int64_t begin = row * matrix.cols + col_begin, limit = row * matrix.cols + col_end;
        for (std::int64_t i = begin, block = begin / matrix.block; i < limit; ++block) {
            const std::int64_t end = std::min(limit, (block + 1) * matrix.block);
            const float absmax = absmax_of(matrix, map, block);
            if (eight) narrow_eight_bit(matrix.packed, absmax, i, end, out + (i - begin));
            else narrow_four_bit(matrix.packed, levels_of_code, absmax, i, end, out + (i - begin));
            i = end;
        }
    }
}
#endif

void multiply_rows(const PackedRows& matrix, const float* x, std::int64_t vectors, std::int64_t row_begin,
                   std::int64_t row_end, float* y) {
#if QLORA_AVX512
    if (vectors == 1 && matrix.code != Code::int8 && matrix.block % chunk == 0 && matrix.block <= panel_columns && matrix.cols % matrix.block == 0)
        return multiply_four_bit(matrix, x, row_begin, row_end, y);
#endif
    if (matrix.code == Code::int8)
        multiply_all<EightBit>(matrix, x, vectors, row_begin, row_end, y);
    else
        multiply_all<FourBit>(matrix, x, vectors, row_begin, row_end, y);
}

#endif
#if !QLORA_AVX512
void narrow_columns(const PackedRows&, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::uint16_t*, std::int64_t) {}
#endif
}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(dequantize_elements);
HWY_EXPORT(dequantize_columns);
HWY_EXPORT(narrow_columns);
HWY_EXPORT(multiply_rows);

void dequantize(Code code, const std::uint8_t* packed, const float* absmax, std::int64_t block,
                std::int64_t begin, std::int64_t count, float* out) {
    const PackedRows flat{.code = code, .block = block, .packed = packed, .absmax = absmax};
    HWY_DYNAMIC_DISPATCH(dequantize_elements)(flat, begin, count, out);
}

void dequantize_rows(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end, float* out) {
    HWY_DYNAMIC_DISPATCH(dequantize_elements)
    (matrix, row_begin * matrix.cols, (row_end - row_begin) * matrix.cols, out);
}

void dequantize_part(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                     std::int64_t col_begin, std::int64_t col_end, float* out, std::int64_t stride) {
    HWY_DYNAMIC_DISPATCH(dequantize_columns)
    (matrix, row_begin, row_end, col_begin, col_end, out, stride);
}

void dequantize_part(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end,
                     std::int64_t col_begin, std::int64_t col_end, std::uint16_t* out, std::int64_t stride) {
    HWY_DYNAMIC_DISPATCH(narrow_columns)(matrix, row_begin, row_end, col_begin, col_end, out, stride);
}

void multiply(const PackedRows& matrix, const float* x, std::int64_t row_begin, std::int64_t row_end,
              float* y) {
    HWY_DYNAMIC_DISPATCH(multiply_rows)(matrix, x, 1, row_begin, row_end, y);
}

void multiply_several(const PackedRows& matrix, const float* x, std::int64_t vectors, std::int64_t row_begin,
                      std::int64_t row_end, float* y) {
    HWY_DYNAMIC_DISPATCH(multiply_rows)(matrix, x, vectors, row_begin, row_end, y);
}

}  // namespace qlora::kernels
#endif
