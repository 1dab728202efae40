#pragma once
// AdamW (Loshchilov & Hutter 2019) over one flat tensor, on its device, with PyTorch's arithmetic; with the recipe's optimizer
// "adamw-8bit" both moments are kept in 8 bit (kernels/adamw.h).

#include "core/train/optimizer.h"

namespace qlora::train {

class AdamW : public Optimizer {
  public:
    AdamW(std::int64_t parameters, const recipe::Train& options, torch::Device device = torch::kCPU);

    void step(torch::Tensor& values, const torch::Tensor& gradients, double learning_rate, double gradient_scale = 1) override;
    // Both moments, fp32 [parameters], or uint8 with the blocks' fp32 scales.
    std::vector<Named> state() const override;
    std::int64_t updates() const override { return updates_; }
    void set_updates(std::int64_t updates) override { updates_ = updates; }

  private:
    double beta1_, beta2_, epsilon_, weight_decay_;
    std::int64_t updates_ = 0;
    torch::Tensor first_, second_;              // fp32, or uint8
    torch::Tensor first_absmax_, second_absmax_;  // of 8 bit, by blocks
};

// The norm of the gradients, and what to multiply them by so that it is at most `limit` (0: never more than it is), as
// clip_grad_norm_ does. fp32 [parameters], side by side.
struct Clip {
    double norm = 0, scale = 1;
};
Clip clip(const torch::Tensor& gradients, double limit);

}  // namespace qlora::train
