#include "kernels/packed_rows.h"

#include <algorithm>

#include "kernels/reference.h"
#include "kernels/code_tables.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/packed_rows.cpp"
#include <hwy/foreach_target.h>

#include "kernels/expand-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qlora::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

void dequantize_elements(const PackedRows& matrix, std::int64_t begin, std::int64_t count, float* out) {
    PackedRows flat = matrix;
    flat.cols = 1;  // the reference then counts elements as rows
    reference::dequantize_rows(flat, begin, begin + count, out);
}

void multiply_rows(const PackedRows& matrix, const float* x, std::int64_t vectors, std::int64_t row_begin,
                   std::int64_t row_end, float* y) {
    for (std::int64_t v = 0; v < vectors; ++v)
        reference::multiply(matrix, x + v * matrix.cols, row_begin, row_end, y + v * matrix.rows);
}

#else

// What depends on the kind of code: the vectors of its levels, one level, and a level times its block's absmax.
struct FourBit {
    using Levels = FourBitLevels;
    static HWY_INLINE float level(const PackedRows& matrix, std::int64_t i) {
        const int byte = matrix.packed[i / 2];
        return levels(matrix.code)[i % 2 == 0 ? byte >> 4 : byte & 15];
    }
    static HWY_INLINE const std::uint8_t* at(const PackedRows& matrix, std::int64_t i) { return matrix.packed + i / 2; }
    static HWY_INLINE float scaled(float level, float absmax) { return level * absmax; }
    static HWY_INLINE Vector scaled(Vector level, Vector absmax) { return hn::Mul(level, absmax); }
    static HWY_INLINE float factor(float absmax) { return absmax; }
};

struct EightBit {
    using Levels = Int8Levels;
    static HWY_INLINE float level(const PackedRows& matrix, std::int64_t i) {
        return static_cast<std::int8_t>(matrix.packed[i]);
    }
    static HWY_INLINE const std::uint8_t* at(const PackedRows& matrix, std::int64_t i) { return matrix.packed + i; }
    static HWY_INLINE float scaled(float level, float absmax) { return level * absmax * int8_step; }
    static HWY_INLINE Vector scaled(Vector level, Vector absmax) {
        return hn::Mul(hn::Mul(level, absmax), hn::Set(floats, int8_step));
    }
    static HWY_INLINE float factor(float absmax) { return absmax * int8_step; }
};

HWY_INLINE float absmax_of(const PackedRows& matrix, const float* map, std::int64_t block) {
    if (matrix.absmax) return matrix.absmax[block];
    return map[matrix.absmax_codes[block]] * matrix.nested_absmax[block / nested_block] + matrix.offset;
}

template <class Kind>
struct StoreScaled {
    float* out;
    Vector absmax;
    HWY_INLINE void operator()(std::int64_t c0, Vector level0, std::int64_t c1, Vector level1) const {
        hn::StoreU(Kind::scaled(level0, absmax), floats, out + c0);
        hn::StoreU(Kind::scaled(level1, absmax), floats, out + c1);
    }
};

// Elements [begin, end) of one block: at most one to reach a whole byte, chunks, and the rest one by one.
struct Span {
    Span(std::int64_t begin, std::int64_t end)
        : chunks_begin(begin + begin % 2), chunks_end(end - (end - chunks_begin) % chunk), end(end) {}
    std::int64_t chunks_begin, chunks_end, end;
};

template <class Kind>
void dequantize_range(const PackedRows& matrix, std::int64_t begin, std::int64_t range_end, float* out) {
    const typename Kind::Levels levels_of(matrix.code);
    const float* map = dynamic_map().data();
    for (std::int64_t i = begin; i < range_end;) {
        const std::int64_t block = i / matrix.block;
        const Span span(i, std::min(range_end, (block + 1) * matrix.block));
        const float absmax = absmax_of(matrix, map, block);
        const StoreScaled<Kind> store{out, hn::Set(floats, absmax)};
        for (; i < span.chunks_begin; ++i) out[i - begin] = Kind::scaled(Kind::level(matrix, i), absmax);
        for (; i < span.chunks_end; i += chunk) levels_of.expand(Kind::at(matrix, i), i - begin, store);
        for (; i < span.end; ++i) out[i - begin] = Kind::scaled(Kind::level(matrix, i), absmax);
    }
}

// kVectors products of each row. A block's levels are summed first and scaled once.
template <class Kind, int kVectors>
void multiply_by(const PackedRows& matrix, const float* x, std::int64_t row_begin, std::int64_t row_end, float* y) {
    const typename Kind::Levels levels_of(matrix.code);
    const float* map = dynamic_map().data();
    for (std::int64_t row = row_begin; row < row_end; ++row) {
        const std::int64_t begin = row * matrix.cols, row_limit = begin + matrix.cols;
        Vector sums[kVectors];
        float singles[kVectors] = {};
        for (Vector& sum : sums) sum = hn::Zero(floats);
        for (std::int64_t i = begin; i < row_limit;) {
            const std::int64_t block = i / matrix.block;
            const Span span(i, std::min(row_limit, (block + 1) * matrix.block));
            const float factor = Kind::factor(absmax_of(matrix, map, block));
            const auto add_single = [&](std::int64_t at) HWY_ATTR {
                const float weight = Kind::level(matrix, at) * factor;
                for (int v = 0; v < kVectors; ++v) singles[v] += weight * x[v * matrix.cols + at - begin];
            };
            Accumulate<kVectors> accumulate(x, matrix.cols);
            for (; i < span.chunks_begin; ++i) add_single(i);
            for (; i < span.chunks_end; i += chunk) levels_of.expand(Kind::at(matrix, i), i - begin, accumulate);
            for (; i < span.end; ++i) add_single(i);
            for (int v = 0; v < kVectors; ++v)
                sums[v] = hn::MulAdd(hn::Set(floats, factor), accumulate.sum(v), sums[v]);
        }
        for (int v = 0; v < kVectors; ++v)
            y[v * matrix.rows + row] = hn::GetLane(hn::SumOfLanes(floats, sums[v])) + singles[v];
    }
}

template <class Kind>
void multiply_all(const PackedRows& matrix, const float* x, std::int64_t vectors, std::int64_t row_begin,
                  std::int64_t row_end, float* y) {
    const auto take = [&](auto count) HWY_ATTR {
        for (; vectors >= count; vectors -= count, x += count * matrix.cols, y += count * matrix.rows)
            multiply_by<Kind, count>(matrix, x, row_begin, row_end, y);
    };
    take(std::integral_constant<int, 8>());
    take(std::integral_constant<int, 4>());
    take(std::integral_constant<int, 2>());
    take(std::integral_constant<int, 1>());
}

void dequantize_elements(const PackedRows& matrix, std::int64_t begin, std::int64_t count, float* out) {
    if (matrix.code == Code::int8)
        dequantize_range<EightBit>(matrix, begin, begin + count, out);
    else
        dequantize_range<FourBit>(matrix, begin, begin + count, out);
}

void multiply_rows(const PackedRows& matrix, const float* x, std::int64_t vectors, std::int64_t row_begin,
                   std::int64_t row_end, float* y) {
    if (matrix.code == Code::int8)
        multiply_all<EightBit>(matrix, x, vectors, row_begin, row_end, y);
    else
        multiply_all<FourBit>(matrix, x, vectors, row_begin, row_end, y);
}

#endif
}  // namespace qlora::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qlora::kernels {

HWY_EXPORT(dequantize_elements);
HWY_EXPORT(multiply_rows);

void dequantize(Code code, const std::uint8_t* packed, const float* absmax, std::int64_t block, std::int64_t begin,
                std::int64_t count, float* out) {
    const PackedRows flat{.code = code, .block = block, .packed = packed, .absmax = absmax};
    HWY_DYNAMIC_DISPATCH(dequantize_elements)(flat, begin, count, out);
}

void dequantize_rows(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end, float* out) {
    HWY_DYNAMIC_DISPATCH(dequantize_elements)
    (matrix, row_begin * matrix.cols, (row_end - row_begin) * matrix.cols, out);
}

void multiply(const PackedRows& matrix, const float* x, std::int64_t row_begin, std::int64_t row_end, float* y) {
    HWY_DYNAMIC_DISPATCH(multiply_rows)(matrix, x, 1, row_begin, row_end, y);
}

void multiply_several(const PackedRows& matrix, const float* x, std::int64_t vectors, std::int64_t row_begin,
                      std::int64_t row_end, float* y) {
    HWY_DYNAMIC_DISPATCH(multiply_rows)(matrix, x, vectors, row_begin, row_end, y);
}

}  // namespace qlora::kernels
#endif
