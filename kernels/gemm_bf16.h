#pragma once
// The parts of a product in bfloat16 that want the processor's own instructions (AVX512-BF16: Intel from Cooper Lake, AMD from
// Zen 4), which this Highway does not know. Only to be called where they are there.

#include <cstdint>

namespace qlora::kernels {

bool has_bf16_products();

namespace bf16 {

// The mask of the lanes below n, of sixteen.
inline std::uint16_t below(std::int64_t n) {
    return n >= 16 ? std::uint16_t{0xFFFF} : static_cast<std::uint16_t>((1u << n) - 1);
}

inline constexpr std::int64_t panel_columns = 32;
inline constexpr int tile_rows = 14;

// Numbers rounded to the nearest, ties to even; with n odd one zero more.
void narrow(const float* x, std::int64_t n, std::uint16_t* out);
// Rows of n numbers, `pitch` apart, by twos, their numbers in turn, first[0], second[0], first[1], ...; where they are odd, with a
// row of zeros. Into panels of panel_columns pairs, `panel_pitch` numbers apart, row r's two at r * panel_columns; or into rows
// of n pairs without gaps.
void pair_rows(const std::uint16_t* x, std::int64_t pitch, std::int64_t rows, std::int64_t n, std::uint16_t* out, std::int64_t panel_pitch);
void pair_columns(const std::uint16_t* x, std::int64_t pitch, std::int64_t rows, std::int64_t n, std::uint16_t* out);

// `n` elements, an even number, of rows of A: two that follow each other side by side, a row's `step` numbers apart, rows
// `pitch` apart. And those of a panel, [n / 2, panel_columns] pairs.
struct Strip {
    const std::uint16_t* a = nullptr;
    std::int64_t pitch = 0, step = 2, n = 0;
    const std::uint16_t* panel = nullptr;
};
// Rows of C by a panel's columns, summed in fp32 over the elements of one strip and then of another, which may have none.
// 0 < rows <= tile_rows.
void multiply_tile(int rows, const Strip& first, const Strip& second, float* c, std::int64_t c_stride, std::int64_t columns, bool add);

}  // namespace bf16
}  // namespace qlora::kernels
