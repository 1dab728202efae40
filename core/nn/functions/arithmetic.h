#pragma once
// In which numbers a model computes, and in which it keeps what its backward pass needs.

#include "kernels/gemm.h"

namespace qlora::nn {

// Numbers between layers are fp32. Products of our own kernels round their operands to `products` and sum in fp32; what is kept
// is kept in bf16 where `keeps_bf16`, which with products in bf16 costs next to nothing, since they round it anyway.
struct Arithmetic {
    kernels::Arithmetic products = kernels::Arithmetic::fp32;
    bool keeps_bf16 = false;

    static const Arithmetic fp32, bf16;
    operator kernels::Arithmetic() const { return products; }
};
inline constexpr Arithmetic Arithmetic::fp32{kernels::Arithmetic::fp32, false};
inline constexpr Arithmetic Arithmetic::bf16{kernels::Arithmetic::bf16, true};

}  // namespace qlora::nn
