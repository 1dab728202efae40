#pragma once
// A matrix of activations or gradients as products take it.

#include <torch/types.h>

#include <cstdint>

#include "kernels/gemm.h"

namespace qlora::quant {

using kernels::Arithmetic;

// Whether numbers are for our own kernels for CPUs: fp32, and there.
bool ours(const torch::Tensor& x);

// bf16 [rows, cols] on a CPU for a product's left side, not set: rows that do not evict each other from the caches.
torch::Tensor bf16_rows(std::int64_t rows, std::int64_t cols);

// Numbers, and what products in `arithmetic` round them to: once, when the first of them asks. Either way its tensors are
// not copied where they are what is asked for. One thread at a time.
class Operand {
  public:
    // In fp32, or in another dtype that LibTorch multiplies as it is; or, for products in bf16, in bf16 as they were kept.
    Operand(torch::Tensor numbers, Arithmetic arithmetic = Arithmetic::fp32);  // NOLINT(google-explicit-constructor)

    const torch::Tensor& numbers() const;  // not rounded, where they were not before
    const torch::Tensor& rounded() const;  // the same where nothing is to be rounded
    torch::ScalarType type() const { return wide_.defined() ? wide_.scalar_type() : torch::kFloat32; }  // of numbers()
    std::int64_t rows() const { return any().size(0); }
    std::int64_t cols() const { return any().size(1); }
    Operand t() const;  // its transpose; numbers stay where they are
    // Whose products take it: our own kernels on a CPU; tiles of our own and LibTorch's products on a GPU; LibTorch's alone.
    enum class By : std::uint8_t { kernels, gpu, libtorch };
    By taken_by() const;
    // Numbers that nobody else reads, multiplied by a factor where they lie.
    static Operand scaled(torch::Tensor numbers, double factor, Arithmetic arithmetic);
    // [rows, cols] for a product of it, not set.
    torch::Tensor empty(std::int64_t rows, std::int64_t cols) const;

  private:
    bool kernels_round() const;  // whether products here are in bf16 where that is asked for
    const torch::Tensor& any() const { return wide_.defined() ? wide_ : rounded_; }

    mutable torch::Tensor wide_, rounded_;
    Arithmetic arithmetic_;
};

}  // namespace qlora::quant
