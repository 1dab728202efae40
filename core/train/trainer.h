#pragma once
// One run: a recipe in, a stream of events out.

#include <filesystem>
#include <functional>

#include "core/base/control.h"
#include "core/events/events.h"
#include "core/parallel/environment.h"
#include "core/recipe/recipe.h"

namespace qlora::train {

struct RunOptions {
    std::filesystem::path run_folder;     // created; must be empty or absent unless resuming
    bool resume = false;                  // go on from run_folder's newest whole checkpoint
    std::string device = "auto";          // auto, cpu, cuda, cuda:1
    int threads = 0;                      // 0: all cores
    parallel::Environment processes{};    // of several, every one calls run(); rank 0's recipe and folder count
    std::function<void()> while_joining{};  // called some 20 times a second until all processes have come; may throw
    // Of one process, on the training thread. stop_after is asked after each step but the last: true evaluates, saves and ends
    // the run as stop-and-save does, so that resuming goes on with the very next step. learning_rate stands in for the recipe's
    // schedule: the rate of the update with this index, from 0.
    std::function<bool(std::int64_t step)> stop_after{};
    std::function<double(std::int64_t update)> learning_rate{};
};

// Throws input_error when the recipe's model or data is not there: told before anything is written.
void require_files(const recipe::Recipe& recipe);

// Runs to its end on the calling thread (the window gives it a std::jthread of its own; never the UI thread).
// Sends Finished or Failed as the last event and returns that event; throws nothing. Control is polled at least
// every 100 ms of work, also while loading, evaluating and saving. Two runs may not share a folder: it is locked.
// Of several processes that train together only rank 0 writes the folder and sends events other than the last; the recipe's
// batch is that of all together, so that their number changes no loss beyond the order of sums. When one is lost, the others
// end with Failed "parallel.lost", rank 0 after a checkpoint of the last whole step.
// A base weight is never written to. See docs/architecture.md for the run folder's layout.
Event run(const recipe::Recipe& recipe, const RunOptions& options, Control& control, const Sink& sink);

}  // namespace qlora::train
