#pragma once
// AdamW's update (Loshchilov and Hutter 2019) of many parameters in one pass, and the norm it is clipped by.

#include <cstdint>

namespace qlora::kernels {

struct AdamWRule {
    float beta1_rest = 0.1f;                       // 1 - beta1
    float beta2 = 0.999f, beta2_rest = 0.001f;     // and 1 - beta2, each rounded once
    float epsilon = 1e-8f;
    float keep = 1;           // of a value before its update: 1 - learning rate * weight decay
    float rate = 0;           // learning rate / (1 - beta1^t)
    float root = 1;           // sqrt(1 - beta2^t)
    float gradient_scale = 1; // what gradients are multiplied by as they are read
};

// first = beta1 first + (1 - beta1) g; second = beta2 second + (1 - beta2) g^2;
// value = keep value - rate first / (sqrt(second) / root + epsilon). fp32 [n] each. Pure, single-threaded, no allocation.
void adamw(const AdamWRule& rule, const float* gradients, std::int64_t n, float* values, float* first, float* second);

// The same with both moments in 8 bit (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization"): codes of
// the dynamic map, with sign for the first, without for the second, by blocks of `moment_block` from the first element on,
// each with its largest magnitude. They are expanded, updated as above and quantized anew.
inline constexpr std::int64_t moment_block = 256;
struct EightBit {
    std::uint8_t* codes = nullptr;  // [n]
    float* absmax = nullptr;        // [blocks]
};
void adamw_8bit(const AdamWRule& rule, const float* gradients, std::int64_t n, float* values, EightBit first, EightBit second);

// In fp32 by lanes, parts of 4,096 summed in fp64.
double sum_of_squares(const float* x, std::int64_t n);

}  // namespace qlora::kernels
