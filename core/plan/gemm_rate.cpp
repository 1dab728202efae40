#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/plan/plan.h"
#include "core/quant/matmul.h"

namespace qlora::plan {

GemmRates measured_gemm_rates() {
    // The best of many runs of a shape typical for a small model's layer, spread over a second: as a window opens, other threads
    // of its own want the cores as well. Measured once, since machines do not change.
    static const GemmRates rates = [] {
        using Clock = std::chrono::steady_clock;
        torch::NoGradGuard no_grad;
        constexpr std::int64_t m = 512, n = 1536, k = 576;
        const torch::Tensor x = torch::ones({m, k}), w = torch::ones({n, k});
        GemmRates best;
        const auto measure = [&](quant::Arithmetic arithmetic, double& rate) {
            const auto start = Clock::now();
            quant::matmul_transposed(quant::Operand(x, arithmetic), w);
            rate = std::max(rate, 2.0 * m * n * k / std::chrono::duration<double>(Clock::now() - start).count());
        };
        for (const auto begun = Clock::now(); Clock::now() - begun < std::chrono::seconds(1); std::this_thread::sleep_for(std::chrono::milliseconds(10)))
            for (int i = 0; i < 3; ++i) {
                measure(quant::Arithmetic::fp32, best.fp32);
                if (kernels::has_bf16_products()) measure(quant::Arithmetic::bf16, best.bf16);
            }
        return best;
    }();
    return rates;
}

}  // namespace qlora::plan
