#pragma once
// Carries out a search: one run after the other, each with all of the machine.

#include <thread>

#include "core/base/control.h"
#include "core/search/events.h"
#include "core/search/folder.h"

namespace qlora::search {

// What a search asks of the engine: train::run with these of its options. The layer itself knows no LibTorch.
struct Sitting {
    recipe::Recipe recipe;
    std::filesystem::path folder;
    bool resume = false;
    std::function<bool(std::int64_t step)> stop_after{};
    std::function<double(std::int64_t update)> learning_rate{};
};
using Trainer = std::function<train::Event(const Sitting&, Control&, const train::Sink&)>;

// Goes on with the search in `folder`, or begins it, on the calling thread; sends Ended as its last event and returns it. The
// trial that was cut off goes on from its newest checkpoint; those that have ended are not done again. A trial that fails is
// entered with its reason and does not end the search. Pausing and stopping are passed on to the run within 50 ms; after a stop,
// with or without saving, the search can go on later. Throws Error when the folder cannot be read or written, or is held by another program.
Ended run(const std::filesystem::path& folder, const Trainer& trainer, Control& control, const Sink& sink);

// Passes what is asked of `outer` on to `inner` while it lives: a search outlives its runs, which need a Control each.
class Forward {
  public:
    Forward(Control& outer, Control& inner);
    ~Forward();
    Forward(const Forward&) = delete;
    Forward& operator=(const Forward&) = delete;

  private:
    std::jthread thread_;
};

}  // namespace qlora::search
