#pragma once
// AdamW (Loshchilov & Hutter 2019) over one flat tensor, with PyTorch's arithmetic.

#include <torch/types.h>

#include "core/recipe/recipe.h"

namespace qlora::train {

class AdamW {
  public:
    AdamW(std::int64_t parameters, const recipe::Train& options);

    // values -= update(gradient_scale * gradients); all fp32 [parameters], side by side.
    void step(torch::Tensor& values, const torch::Tensor& gradients, double learning_rate, double gradient_scale = 1);

    // The state to save: both moments [parameters] and the number of updates made.
    torch::Tensor& first_moment() { return first_; }
    torch::Tensor& second_moment() { return second_; }
    std::int64_t updates() const { return updates_; }
    void set_updates(std::int64_t updates) { updates_ = updates; }

  private:
    double beta1_, beta2_, epsilon_, weight_decay_;
    std::int64_t updates_ = 0;
    torch::Tensor first_, second_;
};

// The norm of the gradients, and what to multiply them by so that it is at most `limit` (0: never more than it is), as
// clip_grad_norm_ does. fp32 [parameters], side by side.
struct Clip {
    double norm = 0, scale = 1;
};
Clip clip(const torch::Tensor& gradients, double limit);

}  // namespace qlora::train
