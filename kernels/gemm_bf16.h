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
// Two rows' numbers in turn, first[0], second[0], first[1], ...: n pairs.
void pair(const std::uint16_t* first, const std::uint16_t* second, std::int64_t n, std::uint16_t* out);

// Rows of A: `n` elements of each, n even, rows `pitch` numbers apart.
struct Strip {
    const std::uint16_t* a = nullptr;
    std::int64_t pitch = 0, n = 0;
};
// Rows of C by a panel's columns, summed in fp32 over the elements of one strip and then of another, which may have none; the panel
// [elements / 2, panel_columns] pairs of elements that follow each other. 0 < rows <= tile_rows.
void multiply_tile(int rows, const Strip& first, const Strip& second, const std::uint16_t* panel, float* c, std::int64_t c_stride,
                   std::int64_t columns, bool add);

}  // namespace bf16
}  // namespace qlora::kernels
