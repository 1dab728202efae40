#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/k_scales.h"
#include "kernels/reference.h"

namespace qlora::kernels::reference {
namespace {

float read_f16(const std::uint8_t* bytes) {
    return f16_to_f32(static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8));
}

int nibble(const std::uint8_t* bytes, int i) {
    return i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;
}
int fifth_bit(const std::uint8_t* bytes, int i) {
    return (bytes[i / 8] >> i % 8 & 1) << 4;
}

// Element i of the 256 of a Q4_K or Q5_K block, its code given.
float k_weight(const std::uint8_t* block, int i, int code) {
    const auto [scale, minimum] = k_scale(block + 4, i / 32);
    return read_f16(block) * scale * code - read_f16(block + 2) * minimum;
}

float weight(BlockFormat format, const std::uint8_t* block, int i) {
    switch (format) {
        case BlockFormat::f32: {
            float value;
            std::memcpy(&value, block, sizeof value);
            return value;
        }
        case BlockFormat::f16:
            return read_f16(block);
        case BlockFormat::bf16:
            return bf16_to_f32(static_cast<std::uint16_t>(block[0] | block[1] << 8));
        case BlockFormat::q8_0:
            return read_f16(block) * static_cast<std::int8_t>(block[2 + i]);
        case BlockFormat::q4_0:
            return read_f16(block) * (nibble(block + 2, i) - 8);
        case BlockFormat::q4_1:
            return read_f16(block) * nibble(block + 4, i) + read_f16(block + 2);
        case BlockFormat::q5_0:
            return read_f16(block) * ((nibble(block + 6, i) | fifth_bit(block + 2, i)) - 16);
        case BlockFormat::q5_1:
            return read_f16(block) * (nibble(block + 8, i) | fifth_bit(block + 4, i)) + read_f16(block + 2);
        case BlockFormat::q4_k: {
            const int byte = block[16 + i / 64 * 32 + i % 32];
            return k_weight(block, i, i / 32 % 2 == 0 ? byte & 15 : byte >> 4);
        }
        case BlockFormat::q5_k: {
            const int byte = block[48 + i / 64 * 32 + i % 32];
            const int fifth = (block[16 + i % 32] >> i / 32 & 1) << 4;
            return k_weight(block, i, (i / 32 % 2 == 0 ? byte & 15 : byte >> 4) | fifth);
        }
        case BlockFormat::q6_k: {
            const int half = i / 128, run = i % 128 / 32;
            const int byte = block[half * 64 + run % 2 * 32 + i % 32];
            const int high = block[128 + half * 32 + i % 32] >> 2 * run & 3;
            const int code = ((run < 2 ? byte & 15 : byte >> 4) | high << 4) - 32;
            return read_f16(block + 208) * static_cast<std::int8_t>(block[192 + i / 16]) * code;
        }
    }
    return 0;
}

}  // namespace

void dequantize(BlockFormat format, const std::byte* data, std::int64_t n, float* out) {
    const std::int64_t elements = block_elements(format), bytes = block_bytes(format);
    const auto* block = reinterpret_cast<const std::uint8_t*>(data);
    for (std::int64_t i = 0; i < n; ++i)
        out[i] = weight(format, block + i / elements * bytes, static_cast<int>(i % elements));
}

void multiply(BlockFormat format, const std::byte* data, std::int64_t cols, const float* x,
              std::int64_t row_begin, std::int64_t row_end, float* y) {
    const std::int64_t elements = block_elements(format), bytes = block_bytes(format);
    for (std::int64_t row = row_begin; row < row_end; ++row) {
        const auto* block = reinterpret_cast<const std::uint8_t*>(data) + row * (cols / elements * bytes);
        double sum = 0;
        for (std::int64_t i = 0; i < cols; ++i)
            sum += static_cast<double>(
                       weight(format, block + i / elements * bytes, static_cast<int>(i % elements))) *
                   x[i];
        y[row] = static_cast<float>(sum);
    }
}

float f16_to_f32(std::uint16_t x) {
    const std::uint32_t sign = static_cast<std::uint32_t>(x & 0x8000) << 16;
    const int exponent = x >> 10 & 31, mantissa = x & 0x3FF;
    if (exponent == 0) return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(mantissa * 0x1p-24f));
    // Infinity, or a NaN made quiet.
    if (exponent == 31)
        return std::bit_cast<float>(sign | 0x7F800000 | (mantissa ? 0x400000 : 0) | mantissa << 13);
    return std::bit_cast<float>(sign | static_cast<std::uint32_t>(exponent + 112) << 23 | mantissa << 13);
}

float bf16_to_f32(std::uint16_t x) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

std::uint16_t f32_to_f16(float x) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t sign = bits >> 16 & 0x8000;
    const float magnitude = std::abs(x);
    if (std::isnan(x)) return static_cast<std::uint16_t>(sign | 0x7E00 | (bits >> 13 & 0x3FF));
    if (magnitude >= 65520.0f)
        return static_cast<std::uint16_t>(sign | 0x7C00);  // halfway to 2^16 rounds away
    if (magnitude < 0x1p-14f)
        return static_cast<std::uint16_t>(sign | static_cast<int>(std::nearbyint(magnitude * 0x1p24f)));
    int exponent;
    const float mantissa = std::frexp(magnitude, &exponent);  // in [1/2, 1)
    // 1024..2048; 2048 carries into the exponent by itself.
    const int rounded = static_cast<int>(std::nearbyint(mantissa * 2048));
    return static_cast<std::uint16_t>(sign | (((exponent + 13) << 10) + rounded));
}

std::uint16_t f32_to_bf16(float x) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
    if (std::isnan(x)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
    return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace qlora::kernels::reference
