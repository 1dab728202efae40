#include "core/train/adamw.h"

#include <torch/torch.h>

#include <cmath>

#include "core/memory/meters.h"

namespace qlora::train {

AdamW::AdamW(std::int64_t parameters, const recipe::Train& options)
    : beta1_(options.beta1), beta2_(options.beta2), epsilon_(options.epsilon), weight_decay_(options.weight_decay) {
    memory::TagScope scope(MemoryTag::optimizer);
    first_ = torch::zeros({parameters}, torch::kFloat32);
    second_ = torch::zeros({parameters}, torch::kFloat32);
}

void AdamW::step(torch::Tensor& values, const torch::Tensor& gradients, double learning_rate) {
    torch::NoGradGuard no_grad;
    memory::TagScope scope(MemoryTag::scratch);
    ++updates_;
    const double correction1 = 1 - std::pow(beta1_, static_cast<double>(updates_));
    const double correction2 = 1 - std::pow(beta2_, static_cast<double>(updates_));
    if (weight_decay_ != 0) values.mul_(1 - learning_rate * weight_decay_);
    first_.lerp_(gradients, 1 - beta1_);
    second_.mul_(beta2_).addcmul_(gradients, gradients, 1 - beta2_);
    torch::Tensor denominator = second_.sqrt().div_(std::sqrt(correction2)).add_(epsilon_);
    values.addcdiv_(first_, denominator, -learning_rate / correction1);
}

double clip_gradients(torch::Tensor& gradients, double limit) {
    torch::NoGradGuard no_grad;
    const double norm = gradients.norm().item<double>();
    if (limit > 0 && std::isfinite(norm)) {
        const double coefficient = limit / (norm + 1e-6);
        if (coefficient < 1) gradients.mul_(coefficient);
    }
    return norm;
}

}  // namespace qlora::train
