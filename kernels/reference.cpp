#include "kernels/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/code_tables.h"

namespace qlora::kernels::reference {
namespace {

// The largest magnitude; a NaN wins, because its bits, without the sign, are the largest.
float largest_magnitude(const float* x, std::int64_t n) {
    std::uint32_t largest = 0;
    for (std::int64_t i = 0; i < n; ++i)
        largest = std::max(largest, std::bit_cast<std::uint32_t>(x[i]) & 0x7FFFFFFF);
    return std::bit_cast<float>(largest);
}

void quantize_four_bit(const Thresholds& thresholds, const float* x, std::int64_t n, std::int64_t block,
                       std::uint8_t* packed, float* absmax) {
    for (std::int64_t begin = 0; begin < n; begin += block) {
        const std::int64_t end = std::min(n, begin + block);
        const bool partial = end - begin < block;
        float& largest = absmax[begin / block];
        largest = largest_magnitude(x + begin, end - begin);
        const float divisor = largest < smallest_divisor ? smallest_divisor : largest;
        if (partial) largest = divisor;
        for (std::int64_t i = begin; i < end; ++i) {
            const std::uint8_t code = code_of(thresholds, partial ? x[i] / divisor : x[i] * (1 / divisor));
            packed[i / 2] = i % 2 == 0 ? code << 4 : packed[i / 2] | code;
        }
    }
    if (n % 2 == 1) packed[n / 2] |= code_of(thresholds, 0);
}

void quantize_int8(const float* x, std::int64_t n, std::int64_t block, std::uint8_t* packed, float* absmax) {
    for (std::int64_t begin = 0; begin < n; begin += block) {
        const std::int64_t end = std::min(n, begin + block);
        absmax[begin / block] = largest_magnitude(x + begin, end - begin);
        for (std::int64_t i = begin; i < end; ++i)
            packed[i] = int8_code_of(x[i] * (1 / absmax[begin / block] * 127));
    }
}

// Of x coded with this scale: the squared error, and the scale that least squares gives its codes.
struct Fit {
    double error = 0, scale = 0;
};
Fit fit(Code code, const float* x, std::int64_t n, float scale) {
    Fit result;
    double along = 0, square = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const double level = levels(code)[code_of(thresholds(code), x[i] * (1 / divisor_of(scale)))];
        result.error += (x[i] - scale * level) * (x[i] - scale * level);
        along += x[i] * level;
        square += level * level;
    }
    result.scale = along / square;
    return result;
}

float element(const PackedRows& matrix, std::int64_t i) {
    const std::int64_t b = i / matrix.block;
    float scale;
    if (matrix.absmax)
        scale = matrix.absmax[b];
    else
        kernels::dequantize_absmax(matrix.absmax_codes, matrix.nested_absmax, matrix.offset, b, 1, &scale);
    if (matrix.code == Code::int8) return static_cast<std::int8_t>(matrix.packed[i]) * scale * int8_step;
    const int code = i % 2 == 0 ? matrix.packed[i / 2] >> 4 : matrix.packed[i / 2] & 15;
    return levels(matrix.code)[code] * scale;
}

}  // namespace

void quantize(Code code, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* packed,
              float* absmax) {
    if (code == Code::int8)
        quantize_int8(x, n, block, packed, absmax);
    else
        quantize_four_bit(thresholds(code), x, n, block, packed, absmax);
}

void encode(Code code, const float* x, std::int64_t n, std::int64_t block, const float* scales, std::uint8_t* packed) {
    for (std::int64_t i = 0; i < n; ++i) {
        const std::uint8_t nibble = code_of(thresholds(code), x[i] * (1 / divisor_of(scales[i / block])));
        packed[i / 2] = i % 2 == 0 ? nibble << 4 : packed[i / 2] | nibble;
    }
    if (n % 2 == 1) packed[n / 2] |= code_of(thresholds(code), 0);
}

void search_scales(Code code, const float* x, std::int64_t n, std::int64_t block, float* scales) {
    for (std::int64_t begin = 0; begin < n; begin += block) {
        const std::int64_t count = std::min(block, n - begin);
        const float absmax = largest_magnitude(x + begin, count);
        float& best = scales[begin / block];
        best = absmax;
        if (!(absmax >= smallest_divisor) || !std::isfinite(absmax)) continue;
        Fit least = fit(code, x + begin, count, absmax);
        const auto consider = [&](float scale) {
            const Fit one = fit(code, x + begin, count, scale);
            if (one.error >= least.error) return;
            least = one;
            best = scale;
        };
        for (int k = 0; k < scale_candidates; ++k) consider(absmax * scale_candidate(k));
        for (int k = 0; k < scale_refinements; ++k) consider(static_cast<float>(least.scale));
    }
}

void dequantize(Code code, const std::uint8_t* packed, const float* absmax, std::int64_t block,
                std::int64_t begin, std::int64_t count, float* out) {
    const PackedRows flat{.code = code, .rows = 1, .block = block, .packed = packed, .absmax = absmax};
    for (std::int64_t i = 0; i < count; ++i) out[i] = element(flat, begin + i);
}

void dequantize_rows(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end, float* out) {
    const std::int64_t begin = row_begin * matrix.cols, end = row_end * matrix.cols;
    for (std::int64_t i = begin; i < end; ++i) out[i - begin] = element(matrix, i);
}

void multiply(const PackedRows& matrix, const float* x, std::int64_t row_begin, std::int64_t row_end,
              float* y) {
    for (std::int64_t row = row_begin; row < row_end; ++row) {
        double sum = 0;
        for (std::int64_t column = 0; column < matrix.cols; ++column)
            sum += static_cast<double>(element(matrix, row * matrix.cols + column)) * x[column];
        y[row] = static_cast<float>(sum);
    }
}

}  // namespace qlora::kernels::reference
