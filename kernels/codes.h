#pragma once
// The code books of blockwise quantization: which value, as a fraction of its block's absmax, each code
// stands for.

#include <cstdint>
#include <span>

namespace qlora::kernels {

// nf4   NormalFloat4 (Dettmers et al., "QLoRA", 2023, appendix E), levels ascending, code 7 is zero.
// fp4   sign, two exponent bits, one mantissa bit, as bitsandbytes orders them: code 8 + k is minus code k.
// int4  symmetric: code k + 8 stands for k / 7, k = -7..7; code 0 is never written and reads as -1.
// int3  symmetric: code k + 4 stands for k / 3, k = -3..3; it lies in four bits, of which code 0 reads as -1 and the codes
//       from 8 on as 1, and none of these is written.
// int8  two's complement: the byte k stands for k / 127; -128 is never written.
enum class Code : std::uint8_t { nf4, fp4, int4, int8, int3 };

// Whether two codes share a byte.
constexpr bool four_bit(Code code) {
    return code != Code::int8;
}

// Level by code: 16 for the four-bit codes, 256 (indexed by the byte as unsigned) for int8.
std::span<const float> levels(Code code);

// Which 8-bit dynamic map (Dettmers, "8-Bit Approximations for Parallelism in Deep Learning", 2015): a
// dynamic number of exponent bits, so that relative precision holds over seven decades.
enum class DynamicMap : std::uint8_t { with_sign, without_sign };

// 256 ascending levels, those of bitsandbytes' create_dynamic_map(signed). The signed map is not symmetric:
// it reaches from -0.9929688 to 1.
std::span<const float> dynamic_map(DynamicMap map = DynamicMap::with_sign);

}  // namespace qlora::kernels
