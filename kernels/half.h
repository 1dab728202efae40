#pragma once
// IEEE half (f16) and bfloat16 (bf16) arrays to and from fp32. Narrowing rounds to nearest, ties to even,
// overflows to infinity and keeps denormals; a NaN stays a NaN (quiet). Pure, single-threaded, any alignment
// of the type, any thread.

#include <cstdint>

namespace qlora::kernels {

void f16_to_f32(const std::uint16_t* x, std::int64_t n, float* out);
void bf16_to_f32(const std::uint16_t* x, std::int64_t n, float* out);
void f32_to_f16(const float* x, std::int64_t n, std::uint16_t* out);
void f32_to_bf16(const float* x, std::int64_t n, std::uint16_t* out);

}  // namespace qlora::kernels
