#pragma once
// Blockwise quantization of fp32 arrays. A block is `block` consecutive elements of the flattened array (a power of two, or,
// where each row of a matrix has one scale, the length of its rows), the
// last one perhaps shorter; its absmax, the largest magnitude in it, is its scale. Packed bytes, absmax and
// dequantized values of nf4 and fp4, with and without double quantization, equal bitsandbytes 0.50.2 on a CPU
// bit for bit; int8 with block = row length equals its vectorwise int8.
//
// All functions: pure, single-threaded over the range given, no allocation, no exceptions; any thread;
// pointers need no alignment beyond their type's, ranges must not overlap. Preconditions (the caller's to
// check): n >= 0; block > 0.
//
// Special values. A block of zeros has absmax 0 and dequantizes to zeros. A NaN in a block makes its absmax
// NaN and with it every dequantized value; an Inf makes it Inf, and every value becomes Inf or NaN. In a
// partial last block an absmax below 1e-38 is stored as 1e-38 (four-bit codes, as bitsandbytes does). fp4's
// code 8 is a negative zero, which bitsandbytes keeps in tensors of an even last dimension only. Doubly
// quantized, one NaN or Inf spoils the offset and with it all scales.

#include <cstdint>

#include "kernels/codes.h"

namespace qlora::kernels {

constexpr std::int64_t block_count(std::int64_t n, std::int64_t block) {
    return n / block + (n % block != 0);
}
constexpr std::int64_t packed_bytes(Code code, std::int64_t n) {
    return four_bit(code) ? n / 2 + n % 2 : n;
}

// x [n] -> packed [packed_bytes(code, n)], absmax [block_count(n, block)]. Of two four-bit elements in a byte
// the first lies in the high nibble; an odd n leaves the last low nibble at the code of zero. To split over
// threads, begin each part at a multiple of `block` elements that is even where codes have four bits.
void quantize(Code code, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* packed,
              float* absmax);

// The same for scales [block_count(n, block)] that are given; four-bit codes only.
void encode(Code code, const float* x, std::int64_t n, std::int64_t block, const float* scales, std::uint8_t* packed);

// In place of each block's absmax the scale, of those from 3/8 to 19/16 of it, at which the squared error of the block is
// smallest: the best of a grid, which the absmax itself is on, and what least squares makes of its codes. Codes past the
// ends of the book become its ends. Of scales that are equal but for rounding, which one is found depends on the CPU's
// vectors. Four-bit codes only; a block of zeros, or with a NaN or Inf, keeps its absmax. scales [block_count(n, block)].
void search_scales(Code code, const float* x, std::int64_t n, std::int64_t block, float* scales);

// Elements [begin, begin + count) of the array -> out [count]. `packed` and `absmax` are those of the whole
// array; begin may lie within a block and be odd.
void dequantize(Code code, const std::uint8_t* packed, const float* absmax, std::int64_t block,
                std::int64_t begin, std::int64_t count, float* out);

// Blockwise 8-bit quantization to the nearest level of a dynamic map, ties to the lower one. x [n] -> codes
// [n], absmax [block_count(n, block)]. Blocks of zeros get the code 0 as in bitsandbytes (their absmax is 0).
void quantize_dynamic(DynamicMap map, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* codes,
                      float* absmax);
void dequantize_dynamic(DynamicMap map, const std::uint8_t* codes, const float* absmax, std::int64_t block,
                        std::int64_t begin, std::int64_t count, float* out);

// Double quantization (Dettmers et al., "QLoRA", 2023, section 3): the absmax array minus its mean, quantized
// with the signed dynamic map in blocks of 256.
inline constexpr std::int64_t nested_block = 256;

// absmax [n] -> codes [n], nested_absmax [block_count(n, nested_block)], offset [1] = mean(absmax). The mean
// adds in the order of torch.mean on one thread with 8-lane vectors (any x86 CPU up to AVX2); see mean().
void quantize_absmax(const float* absmax, std::int64_t n, std::uint8_t* codes, float* nested_absmax,
                     float* offset);

// Elements [begin, begin + count) of the absmax array -> out [count]: level * nested absmax + offset,
// rounded twice.
void dequantize_absmax(const std::uint8_t* codes, const float* nested_absmax, float offset,
                       std::int64_t begin, std::int64_t count, float* out);

// The fp32 mean of x [n] (0 for n = 0), summed by torch's cascade: four interleaved chains of eight lanes,
// four levels deep. torch itself adds in other orders from 32768 elements on with several threads, and with
// AVX-512; its result then differs in the last bits.
float mean(const float* x, std::int64_t n);

}  // namespace qlora::kernels
