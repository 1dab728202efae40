#pragma once
// Lets the thread's owner be asked for a pause or a stop inside long work: every linear layer polls, forward and
// backward, so an answer takes one layer's time at most.

#include <functional>

namespace qlora::nn {

// While it lives, poll() on this thread calls `f`, which may wait (pause) or throw (stop). Scopes nest.
class PollScope {
  public:
    explicit PollScope(std::function<void()> f);
    ~PollScope();
    PollScope(const PollScope&) = delete;
    PollScope& operator=(const PollScope&) = delete;

  private:
    std::function<void()> f_;
    const std::function<void()>* previous_;
};

void poll();

}  // namespace qlora::nn
