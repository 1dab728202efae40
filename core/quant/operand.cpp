#include "core/quant/operand.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <utility>

#include "core/gpu/gpu.h"

namespace qlora::quant {

using torch::Tensor;

bool ours(const Tensor& x) { return x.scalar_type() == torch::kFloat32 && x.is_cpu() && !gpu::takes(x); }

Tensor bf16_rows(std::int64_t rows, std::int64_t cols) {
    return torch::empty_strided({rows, cols}, {kernels::evict_each_other(cols) ? cols + 32 : cols, 1}, torch::kBFloat16);
}

namespace {

// fp32 [rows, cols] on a CPU as bf16_rows, on all threads.
Tensor rounded_to_bf16(const Tensor& x) {
    constexpr std::int64_t least = 1 << 15;  // numbers for a thread
    const std::int64_t rows = x.size(0), cols = x.size(1);
    const Tensor from = x.stride(1) == 1 ? x : x.contiguous(), to = bf16_rows(rows, cols);
    const auto* in = from.const_data_ptr<float>();
    auto* out = static_cast<std::uint16_t*>(to.data_ptr());
    at::parallel_for(0, rows, std::max<std::int64_t>(1, least / std::max<std::int64_t>(1, cols)), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) kernels::round_for_products(in + row * from.stride(0), cols, out + row * to.stride(0));
    });
    return to;
}

}  // namespace

Operand::Operand(Tensor numbers, Arithmetic arithmetic) : arithmetic_(arithmetic) {
    const bool kept = arithmetic == Arithmetic::bf16 && numbers.defined() && numbers.scalar_type() == torch::kBFloat16;
    (kept ? rounded_ : wide_) = std::move(numbers);
}

Operand Operand::scaled(Tensor numbers, double factor, Arithmetic arithmetic) {
    // Of a few numbers an operation of LibTorch's takes longer than they do.
    if (ours(numbers) && numbers.is_contiguous() && numbers.numel() <= std::int64_t{1} << 16) {
        const auto by = static_cast<float>(factor);
        auto* x = numbers.data_ptr<float>();
        for (std::int64_t i = 0, n = numbers.numel(); i < n; ++i) x[i] *= by;
    } else {
        numbers.mul_(factor);
    }
    return {std::move(numbers), arithmetic};
}

const Tensor& Operand::numbers() const {
    if (!wide_.defined()) wide_ = rounded_.to(torch::kFloat32);
    return wide_;
}

const Tensor& Operand::rounded() const {
    if (rounded_.defined() && kernels_round()) return rounded_;
    const Tensor& wide = numbers();
    if (arithmetic_ == Arithmetic::fp32 || !kernels_round() || wide.scalar_type() != torch::kFloat32) return wide;
    rounded_ = gpu::on(wide.device()) ? wide.to(torch::kBFloat16) : rounded_to_bf16(wide);
    return rounded_;
}

bool Operand::kernels_round() const { return gpu::on(any().device()) || kernels::has_bf16_products(); }

Operand Operand::t() const {
    Operand turned(any().t(), arithmetic_);
    if (rounded_.defined()) turned.rounded_ = rounded_.t();
    return turned;
}

Operand::By Operand::taken_by() const {
    if (gpu::on(any().device()) && (!wide_.defined() || gpu::takes(wide_))) return By::gpu;
    return !wide_.defined() || ours(wide_) ? By::kernels : By::libtorch;
}

Tensor Operand::empty(std::int64_t rows, std::int64_t cols) const {
    return torch::empty({rows, cols}, wide_.defined() ? wide_.options() : rounded_.options().dtype(torch::kFloat32));
}

}  // namespace qlora::quant
