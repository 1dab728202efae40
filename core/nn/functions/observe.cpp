#include "core/nn/functions/observe.h"

#include <utility>

namespace qlora::nn {

static thread_local const Observer* current_observer = nullptr;

ObserveScope::ObserveScope(Observer observer) : observer_(std::move(observer)), previous_(std::exchange(current_observer, &observer_)) {}
ObserveScope::~ObserveScope() { current_observer = previous_; }

torch::Tensor observed(const torch::Tensor& x, std::span<const LinearParts> layers) {
    return current_observer == nullptr ? x : (*current_observer)(x, layers);
}

bool is_observed() { return current_observer != nullptr; }

}  // namespace qlora::nn
