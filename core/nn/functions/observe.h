#pragma once
// Lets calibration see what linear layers read, without a second way through the model.

#include <torch/types.h>

#include <functional>
#include <span>

#include "core/nn/functions/linear.h"

namespace qlora::nn {

// Called with the numbers x [T, in] that a group of layers is about to read; gives what they read instead, x itself as a
// rule. It may replace the weights that the layers point to: they are used afterwards.
using Observer = std::function<torch::Tensor(const torch::Tensor& x, std::span<const LinearParts> layers)>;

// While it lives, linear layers on this thread show their input to `observer`, in the order in which they are computed.
// Without gradients. Scopes nest; the innermost one sees.
class ObserveScope {
  public:
    explicit ObserveScope(Observer observer);
    ~ObserveScope();
    ObserveScope(const ObserveScope&) = delete;
    ObserveScope& operator=(const ObserveScope&) = delete;

  private:
    Observer observer_;
    const Observer* previous_;
};

// x, or what the thread's observer makes of it; and whether there is one.
torch::Tensor observed(const torch::Tensor& x, std::span<const LinearParts> layers);
bool is_observed();

}  // namespace qlora::nn
