#pragma once
// The plain form of each kernel, one element at a time: what the fast ones are tested against. Same contracts
// as the functions of the same name; multiply sums in double, so its result is the exact product rounded
// once.

#include "kernels/blocks.h"
#include "kernels/packed_rows.h"

namespace qlora::kernels::reference {

void quantize(Code code, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* packed,
              float* absmax);
void encode(Code code, const float* x, std::int64_t n, std::int64_t block, const float* scales, std::uint8_t* packed);
void search_scales(Code code, const float* x, std::int64_t n, std::int64_t block, float* scales);
void dequantize(Code code, const std::uint8_t* packed, const float* absmax, std::int64_t block,
                std::int64_t begin, std::int64_t count, float* out);
void quantize_dynamic(DynamicMap map, const float* x, std::int64_t n, std::int64_t block, std::uint8_t* codes,
                      float* absmax);
void dequantize_dynamic(DynamicMap map, const std::uint8_t* codes, const float* absmax, std::int64_t block,
                        std::int64_t begin, std::int64_t count, float* out);
void quantize_absmax(const float* absmax, std::int64_t n, std::uint8_t* codes, float* nested_absmax,
                     float* offset);
void dequantize_absmax(const std::uint8_t* codes, const float* nested_absmax, float offset,
                       std::int64_t begin, std::int64_t count, float* out);

void dequantize_rows(const PackedRows& matrix, std::int64_t row_begin, std::int64_t row_end, float* out);
void multiply(const PackedRows& matrix, const float* x, std::int64_t row_begin, std::int64_t row_end,
              float* y);

void dequantize(BlockFormat format, const std::byte* data, std::int64_t n, float* out);
void multiply(BlockFormat format, const std::byte* data, std::int64_t cols, const float* x,
              std::int64_t row_begin, std::int64_t row_end, float* y);

float f16_to_f32(std::uint16_t x);
float bf16_to_f32(std::uint16_t x);
std::uint16_t f32_to_f16(float x);
std::uint16_t f32_to_bf16(float x);

}  // namespace qlora::kernels::reference
