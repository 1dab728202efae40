#include "kernels/gemm_bf16.h"

#if defined(__x86_64__)
// GCC 12 takes the deliberately unset operands inside its own intrinsics for mistakes.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <utility>

#define QLORA_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace qlora::kernels {

bool has_bf16_products() {
    static const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                            __builtin_cpu_supports("avx512bf16");
    return has;
}

namespace bf16 {

namespace {

// By so many vectors of columns.
template <int kRows, int kVectors>
QLORA_BF16 void tile(const Strip& first, const Strip& second, float* c, std::int64_t c_stride, std::int64_t columns, bool add) {
    __m512 sums[kRows][kVectors];
    for (int r = 0; add && r < kRows; ++r)  // C comes while the products are made
        for (int v = 0; v < kVectors; ++v) _mm_prefetch(c + r * c_stride + v * 16, _MM_HINT_T0);
#pragma GCC unroll 14
    for (int r = 0; r < kRows; ++r)
        for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_setzero_ps();
    for (const Strip* strip : {&first, &second}) {
        const std::uint16_t *a = strip->a, *panel = strip->panel;
        const std::int64_t pitch = strip->pitch, step = strip->step, n = strip->n;
        for (std::int64_t k = 0, at = 0; k < n; k += 2, at += step, panel += 2 * panel_columns) {
            __m512bh b[kVectors];
            for (int v = 0; v < kVectors; ++v) b[v] = (__m512bh)_mm512_loadu_si512(panel + v * 32);
#pragma GCC unroll 14
            for (int r = 0; r < kRows; ++r) {
                std::int32_t two;
                __builtin_memcpy(&two, a + r * pitch + at, sizeof(two));
                const auto x = (__m512bh)_mm512_set1_epi32(two);
                for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], x, b[v]);
            }
        }
    }
    const __mmask16 masks[2] = {below(columns), columns > 16 ? below(columns - 16) : __mmask16(0)};
#pragma GCC unroll 14
    for (int r = 0; r < kRows; ++r, c += c_stride)
        for (int v = 0; v < kVectors; ++v) {
            if (add) sums[r][v] = _mm512_add_ps(sums[r][v], _mm512_maskz_loadu_ps(masks[v], c + v * 16));
            _mm512_mask_storeu_ps(c + v * 16, masks[v], sums[r][v]);
        }
}

using Tile = void (*)(const Strip&, const Strip&, float*, std::int64_t, std::int64_t, bool);
template <int kVectors, int... kRows>
constexpr auto tiles_of(std::integer_sequence<int, kRows...>) {
    return std::array<Tile, sizeof...(kRows)>{tile<kRows + 1, kVectors>...};
}
// By rows - 1.
constexpr auto tiles = tiles_of<2>(std::make_integer_sequence<int, tile_rows>()), half_tiles = tiles_of<1>(std::make_integer_sequence<int, tile_rows>());

}  // namespace

QLORA_BF16 void narrow(const float* x, std::int64_t n, std::uint16_t* out) {
    std::int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        _mm512_storeu_si512(out + i, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(x + i)));
    for (; i < n; i += 16) {
        const auto numbers = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(below(n - i), x + i));
        _mm256_mask_storeu_epi16(out + i, below(n - i + (n - i) % 2), numbers);
    }
}

namespace {

// How two vectors' numbers go in turn: the lower or the upper half of each.
constexpr auto in_turn(int from) {
    std::array<std::uint16_t, 32> order{};
    for (int i = 0; i < 32; ++i) order[i] = static_cast<std::uint16_t>(from + i / 2 + i % 2 * 32);
    return order;
}
alignas(64) constexpr auto lower = in_turn(0), upper = in_turn(16);

// n <= 32 pairs; of no second row zeros.
QLORA_BF16 inline void pair(const std::uint16_t* first, const std::uint16_t* second, std::int64_t n, std::uint16_t* out) {
    const __mmask32 mask = n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1;
    const __m512i a = _mm512_maskz_loadu_epi16(mask, first), b = second == nullptr ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi16(mask, second);
    _mm512_mask_storeu_epi32(out, below(n), _mm512_permutex2var_epi16(a, _mm512_load_si512(lower.data()), b));
    if (n > 16) _mm512_mask_storeu_epi32(out + 32, below(n - 16), _mm512_permutex2var_epi16(a, _mm512_load_si512(upper.data()), b));
}

}  // namespace

QLORA_BF16 void pair_rows(const std::uint16_t* x, std::int64_t pitch, std::int64_t rows, std::int64_t n, std::uint16_t* out, std::int64_t panel_pitch) {
    const __m512i low = _mm512_load_si512(lower.data()), high = _mm512_load_si512(upper.data());
    for (std::int64_t c = 0; c < n; c += panel_columns, out += panel_pitch) {
        const std::uint16_t* from = x + c;
        std::uint16_t* to = out;
        std::int64_t r = 0;
        if (c + panel_columns <= n)
            for (; r + 2 <= rows; r += 2, from += 2 * pitch, to += 2 * panel_columns) {
                const __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + pitch);
                _mm512_storeu_si512(to, _mm512_permutex2var_epi16(a, low, b));
                _mm512_storeu_si512(to + 32, _mm512_permutex2var_epi16(a, high, b));
            }
        for (; r < rows; r += 2, from += 2 * pitch, to += 2 * panel_columns) pair(from, r + 1 < rows ? from + pitch : nullptr, std::min(panel_columns, n - c), to);
    }
}

QLORA_BF16 void pair_columns(const std::uint16_t* x, std::int64_t pitch, std::int64_t rows, std::int64_t n, std::uint16_t* out) {
    const __m512i low = _mm512_load_si512(lower.data()), high = _mm512_load_si512(upper.data());
    for (std::int64_t r = 0; r < rows; r += 2, x += 2 * pitch, out += 2 * n) {
        const std::uint16_t* second = r + 1 < rows ? x + pitch : nullptr;
        std::int64_t c = 0;
        for (; second != nullptr && c + 32 <= n; c += 32) {
            const __m512i a = _mm512_loadu_si512(x + c), b = _mm512_loadu_si512(second + c);
            _mm512_storeu_si512(out + 2 * c, _mm512_permutex2var_epi16(a, low, b));
            _mm512_storeu_si512(out + 2 * c + 32, _mm512_permutex2var_epi16(a, high, b));
        }
        for (; c < n; c += 32) pair(x + c, second == nullptr ? nullptr : second + c, std::min<std::int64_t>(32, n - c), out + 2 * c);
    }
}

void multiply_tile(int rows, const Strip& first, const Strip& second, float* c, std::int64_t c_stride, std::int64_t columns, bool add) {
    (columns > 16 ? tiles : half_tiles)[static_cast<std::size_t>(rows - 1)](first, second, c, c_stride, columns, add);
}

}  // namespace bf16
}  // namespace qlora::kernels

#else

namespace qlora::kernels {

bool has_bf16_products() {
    return false;
}

namespace bf16 {
void narrow(const float*, std::int64_t, std::uint16_t*) {}
void pair_rows(const std::uint16_t*, std::int64_t, std::int64_t, std::int64_t, std::uint16_t*, std::int64_t) {}
void pair_columns(const std::uint16_t*, std::int64_t, std::int64_t, std::int64_t, std::uint16_t*) {}
void multiply_tile(int, const Strip&, const Strip&, float*, std::int64_t, std::int64_t, bool) {}
}  // namespace bf16
}  // namespace qlora::kernels

#endif
