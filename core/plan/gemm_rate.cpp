#include <torch/torch.h>

#include <algorithm>
#include <chrono>

#include "core/plan/plan.h"
#include "core/quant/matmul.h"

namespace qlora::plan {

GemmRates measured_gemm_rates() {
    // The best of many runs of a shape typical for a small model's layer, over a time in which other programs let go of the
    // cores at least once; measured once, since machines do not change.
    static const GemmRates rates = [] {
        using Clock = std::chrono::steady_clock;
        torch::NoGradGuard no_grad;
        constexpr std::int64_t m = 512, n = 1536, k = 576;
        const torch::Tensor x = torch::ones({m, k}), w = torch::ones({n, k});
        const auto rate = [&](quant::Arithmetic arithmetic) {
            double best = 1e9;
            const auto begun = Clock::now();
            for (int i = 0; i < 12 || Clock::now() - begun < std::chrono::milliseconds(100); ++i) {
                const auto start = Clock::now();
                quant::matmul_transposed(x, w, arithmetic);
                best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
            }
            return 2.0 * m * n * k / best;
        };
        return GemmRates{rate(quant::Arithmetic::fp32), kernels::has_bf16_products() ? rate(quant::Arithmetic::bf16) : 0};
    }();
    return rates;
}

}  // namespace qlora::plan
