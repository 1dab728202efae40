#pragma once
// One run: a recipe in, a stream of events out.

#include <filesystem>
#include <memory>

#include "core/base/control.h"
#include "core/recipe/recipe.h"
#include "core/events/events.h"

namespace qlora::train {

struct RunOptions {
    std::filesystem::path run_folder;     // created; must be empty or absent unless resuming
    bool resume = false;                  // go on from run_folder's newest whole checkpoint
    std::string device = "auto";          // auto, cpu, cuda, cuda:1
    int threads = 0;                      // 0: all cores
};

// Runs to its end on the calling thread (the window gives it a std::jthread of its own; never the UI thread).
// Sends Finished or Failed as the last event and returns that event; throws nothing. Control is polled at least
// every 100 ms of work, also while loading, evaluating and saving. Two runs may not share a folder: it is locked.
// A base weight is never written to. See docs/architecture.md for the run folder's layout.
Event run(const recipe::Recipe& recipe, const RunOptions& options, Control& control, const Sink& sink);

}  // namespace qlora::train
