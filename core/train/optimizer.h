#pragma once
// How gradients change what is trained: one rule over the flat buffers of values and gradients, on their device. AdamW
// (adamw.h), SGD with momentum, Lion (Chen et al. 2023) and Adafactor (Shazeer and Stern 2018), each with the arithmetic of the
// reference that its users know: torch.optim for AdamW and SGD, transformers' Trainer for Adafactor, bitsandbytes for Lion.
// One thread at a time.

#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "core/recipe/recipe.h"

namespace qlora::train {

class Optimizer {
  public:
    virtual ~Optimizer() = default;

    // values -= update(gradient_scale * gradients); all fp32 [parameters], side by side.
    virtual void step(torch::Tensor& values, const torch::Tensor& gradients, double learning_rate, double gradient_scale = 1) = 0;

    // The state to save, under PyTorch's names; and the number of updates made.
    struct Named {
        std::string name;
        torch::Tensor tensor;
    };
    virtual std::vector<Named> state() const = 0;
    virtual std::int64_t updates() const = 0;
    virtual void set_updates(std::int64_t updates) = 0;
};

// A tensor in the flat buffers, which lie in this order without gaps.
struct Part {
    std::int64_t rows = 0, cols = 1;
    double rate = 1;     // what its learning rate is multiplied by
    bool decays = true;  // whether weight decay pulls at it
    std::int64_t size() const { return rows * cols; }
};

// The recipe's optimizer, for buffers on `device`. Parts that follow each other and are treated alike are updated together.
std::unique_ptr<Optimizer> make_optimizer(const std::vector<Part>& parts, const recipe::Train& options, torch::Device device = torch::kCPU);

}  // namespace qlora::train
