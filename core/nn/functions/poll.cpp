#include "core/nn/functions/poll.h"

namespace qlora::nn {

static thread_local const std::function<void()>* current = nullptr;

PollScope::PollScope(std::function<void()> f) : f_(std::move(f)), previous_(current) { current = &f_; }
PollScope::~PollScope() { current = previous_; }

void poll() {
    if (current != nullptr) (*current)();
}

}  // namespace qlora::nn
