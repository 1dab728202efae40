#include "core/train/adamw.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <cmath>
#include <numeric>

#include "core/gpu/gpu.h"
#include "core/memory/meters.h"
#include "kernels/adamw.h"
#include "kernels/cuda/launch.h"

namespace qlora::train {

namespace {

// A sum of squares large enough to lose the small, or infinite, is of no use for fp32 numbers: fp64 has room for them all.
// By parts of a fixed size, so that no number of threads changes the sum.
constexpr std::int64_t part = 1 << 16;

double squared_norm(const torch::Tensor& flat) {
    const std::int64_t n = flat.numel(), parts = (n + part - 1) / part;
    if (gpu::takes(flat)) {
        torch::Tensor sums = torch::empty({kernels::cuda::square_sums(n)}, flat.options().dtype(torch::kFloat64));
        kernels::cuda::sum_of_squares(gpu::runner(flat), flat.const_data_ptr<float>(), n, sums.data_ptr<double>());
        return sums.sum().item<double>();
    }
    std::vector<double> sums(static_cast<std::size_t>(parts));
    const float* x = flat.const_data_ptr<float>();
    at::parallel_for(0, parts, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            sums[static_cast<std::size_t>(i)] = kernels::sum_of_squares(x + i * part, std::min(part, n - i * part));
    });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

AdamW::AdamW(std::int64_t parameters, const recipe::Train& options, torch::Device device)
    : beta1_(options.beta1), beta2_(options.beta2), epsilon_(options.epsilon), weight_decay_(options.weight_decay) {
    memory::TagScope scope(MemoryTag::optimizer);
    const bool eight_bit = options.optimizer == recipe::Optimizer::adamw_8bit;
    for (torch::Tensor* moment : {&first_, &second_})
        *moment = torch::zeros({parameters}, torch::TensorOptions(device).dtype(eight_bit ? torch::kUInt8 : torch::kFloat32));
    if (!eight_bit) return;
    const std::int64_t blocks = (parameters + kernels::moment_block - 1) / kernels::moment_block;
    for (torch::Tensor* absmax : {&first_absmax_, &second_absmax_}) *absmax = torch::zeros({blocks}, torch::TensorOptions(device).dtype(torch::kFloat32));
}

std::vector<AdamW::Named> AdamW::state() const {
    std::vector<Named> named{{"exp_avg", first_}, {"exp_avg_sq", second_}};
    if (first_absmax_.defined()) named.insert(named.end(), {{"exp_avg.absmax", first_absmax_}, {"exp_avg_sq.absmax", second_absmax_}});
    return named;
}

void AdamW::step(torch::Tensor& values, const torch::Tensor& gradients, double learning_rate, double gradient_scale) {
    ++updates_;
    const auto number = [](double x) { return static_cast<float>(x); };
    const kernels::AdamWRule rule{
        .beta1_rest = number(1 - beta1_),
        .beta2 = number(beta2_),
        .beta2_rest = number(1 - beta2_),
        .epsilon = number(epsilon_),
        .keep = number(1 - learning_rate * weight_decay_),
        .rate = number(learning_rate / (1 - std::pow(beta1_, static_cast<double>(updates_)))),
        .root = number(std::sqrt(1 - std::pow(beta2_, static_cast<double>(updates_)))),
        .gradient_scale = number(gradient_scale),
    };
    float* value = values.data_ptr<float>();
    const float* gradient = gradients.const_data_ptr<float>();
    if (first_absmax_.defined()) {
        const auto moment = [](torch::Tensor& codes, torch::Tensor& absmax, std::int64_t begin) {
            return kernels::EightBit{codes.data_ptr<std::uint8_t>() + begin, absmax.data_ptr<float>() + begin / kernels::moment_block};
        };
        const std::int64_t n = values.numel();
        if (gpu::takes(values)) {
            kernels::cuda::adamw_8bit(gpu::runner(values), rule, gradient, n, value, moment(first_, first_absmax_, 0), moment(second_, second_absmax_, 0));
            return;
        }
        // Whole blocks for each thread.
        const std::int64_t parts = (n + part - 1) / part;
        static_assert(part % kernels::moment_block == 0);
        at::parallel_for(0, parts, 1, [&](std::int64_t first_part, std::int64_t last_part) {
            const std::int64_t begin = first_part * part, end = std::min(n, last_part * part);
            kernels::adamw_8bit(rule, gradient + begin, end - begin, value + begin, moment(first_, first_absmax_, begin),
                                moment(second_, second_absmax_, begin));
        });
        return;
    }
    float *first = first_.data_ptr<float>(), *second = second_.data_ptr<float>();
    if (gpu::takes(values)) {
        kernels::cuda::adamw(gpu::runner(values), rule, gradient, values.numel(), value, first, second);
        return;
    }
    at::parallel_for(0, values.numel(), part, [&](std::int64_t begin, std::int64_t end) {
        kernels::adamw(rule, gradient + begin, end - begin, value + begin, first + begin, second + begin);
    });
}

Clip clip(const torch::Tensor& gradients, double limit) {
    const double norm = std::sqrt(squared_norm(gradients));
    const double scale = limit > 0 && std::isfinite(norm) ? std::min(1.0, limit / (norm + 1e-6)) : 1;
    return {norm, scale};
}

}  // namespace qlora::train
