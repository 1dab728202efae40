// clang-format off
#include "cuda_emulator.h"

#include "kernels/cuda/sources/adamw.cu"
#include "kernels/cuda/sources/blocks.cu"
#include "kernels/cuda/sources/cross_entropy.cu"
#include "kernels/cuda/sources/dequantize.cu"
#include "kernels/cuda/sources/dropout.cu"
#include "kernels/cuda/sources/gates.cu"
#include "kernels/cuda/sources/multiply.cu"
#include "kernels/cuda/sources/norm.cu"
#include "kernels/cuda/sources/quantize.cu"
#include "kernels/cuda/sources/rotary.cu"
// clang-format on

namespace {

const std::map<std::string, cuda_emulator::Kernel>& known() {
#define KERNEL(name) \
    { #name, cuda_emulator::kernel(&::name) }
#define FORMAT(name)                                                                                    \
    KERNEL(dequantize_##name##_f32), KERNEL(dequantize_##name##_f16), KERNEL(dequantize_##name##_bf16), \
        KERNEL(multiply_##name)
    static const std::map<std::string, cuda_emulator::Kernel> kernels = {KERNEL(adamw_by_1),
                                                                         KERNEL(adamw_by_4),
                                                                         KERNEL(adamw_8bit),
                                                                         KERNEL(sum_of_squares),
                                                                         KERNEL(cross_entropy),
                                                                         KERNEL(dequantize_f32),
                                                                         KERNEL(dequantize_f16),
                                                                         KERNEL(dequantize_bf16),
                                                                         KERNEL(dropout),
                                                                         KERNEL(gate_by_1),
                                                                         KERNEL(gate_by_4),
                                                                         KERNEL(gate_backward_by_1),
                                                                         KERNEL(gate_backward_by_4),
                                                                         KERNEL(multiply_blockwise),
                                                                         KERNEL(norm_by_1),
                                                                         KERNEL(norm_by_4),
                                                                         KERNEL(norm_backward_by_1),
                                                                         KERNEL(norm_backward_by_4),
                                                                         KERNEL(quantize_four_bit),
                                                                         KERNEL(quantize_int8),
                                                                         KERNEL(rotate_by_1),
                                                                         KERNEL(rotate_by_4),
                                                                         KERNEL(score_factors),
                                                                         FORMAT(F32),
                                                                         FORMAT(F16),
                                                                         FORMAT(BF16),
                                                                         FORMAT(Q8_0),
                                                                         FORMAT(Q4_0),
                                                                         FORMAT(Q4_1),
                                                                         FORMAT(Q5_0),
                                                                         FORMAT(Q5_1),
                                                                         FORMAT(Q4_K),
                                                                         FORMAT(Q5_K),
                                                                         FORMAT(Q6_K)};
    return kernels;
}

}  // namespace

void StandIn::run(const qlora::kernels::cuda::Launch& launch,
                  std::span<const qlora::kernels::cuda::Argument> arguments) {
    const auto found = known().find(launch.kernel);
    if (found == known().end()) throw std::logic_error("the stand-in knows no kernel " + launch.kernel);
    ++launches_;
    cuda_emulator::run(found->second, launch, arguments, order_);
}
