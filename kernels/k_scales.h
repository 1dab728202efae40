#pragma once
// Inside the kernels: the twelve bytes of Q4_K and Q5_K that hold eight 6-bit scales and eight 6-bit minima.
// Bytes 0-3 and 4-7 hold scales 0-3 and minima 0-3 in their low six bits, and in their high two the high bits
// of numbers 4-7, whose low four bits share bytes 8-11.

#include <cstdint>

namespace qlora::kernels {

struct ScaleAndMinimum {
    std::uint8_t scale, minimum;
};

inline ScaleAndMinimum k_scale(const std::uint8_t* packed, int j) {
    if (j < 4)
        return {static_cast<std::uint8_t>(packed[j] & 63), static_cast<std::uint8_t>(packed[j + 4] & 63)};
    return {static_cast<std::uint8_t>((packed[j + 4] & 15) | (packed[j - 4] >> 6 << 4)),
            static_cast<std::uint8_t>((packed[j + 4] >> 4) | (packed[j] >> 6 << 4))};
}

}  // namespace qlora::kernels
