#pragma once
// Normalisation of rows: RMSNorm (Zhang and Sennrich 2019), and LayerNorm (Ba et al. 2016), which also centres them.

#include <cstdint>

namespace qlora::kernels {

struct NormRule {
    bool centred = false;  // LayerNorm
    float epsilon = 1e-6f;
    const float* weight = nullptr;  // [width]
    const float* bias = nullptr;    // [width] or null
};

// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, a row at a time; without centring the mean counts as 0.
// x, y: fp32 [rows, width] without gaps; y may be x. Pure, single-threaded, no allocation, no exceptions.
void norm(const NormRule& rule, const float* x, std::int64_t rows, std::int64_t width, float* y);

// The same for products in bf16, only where has_bf16_products() (gemm.h): y rounded, its rows `y_stride` numbers apart. Of x in fp32, which is also given rounded, for
// backward, where `kept` is not null; and again of that.
void norm(const NormRule& rule, const float* x, std::int64_t rows, std::int64_t width, std::uint16_t* y, std::int64_t y_stride, std::uint16_t* kept);
void norm(const NormRule& rule, const std::uint16_t* x, std::int64_t rows, std::int64_t width, std::uint16_t* y, std::int64_t y_stride);

// The gradient of x, in fp32 or in bf16, from that of y, all [rows, width]; dx may be dy. In bf16 it gives y once more, where
// that is not null.
void norm_backward(const NormRule& rule, const float* x, const float* dy, std::int64_t rows, std::int64_t width,
                   float* dx);
void norm_backward(const NormRule& rule, const std::uint16_t* x, const float* dy, std::int64_t rows, std::int64_t width,
                   float* dx, std::uint16_t* y, std::int64_t y_stride);

}  // namespace qlora::kernels
