#pragma once
// Keeps a run's entry in the index true while the run goes: a sink beside the window's or the command line's
// own.

#include <chrono>
#include <filesystem>
#include <string>

#include "core/events/events.h"
#include "core/runs/run_folder.h"
#include "core/runs/store.h"

namespace qlora::runs {

class Recorder {
  public:
    // Enters the run into <home>'s index as running. Throws input_error "runs.folder" when a run without
    // `resume` would write into a folder that is not empty, "runs.running" as Store::begin does.
    Recorder(const std::filesystem::path& home, const recipe::Recipe& recipe,
             const std::filesystem::path& folder, bool resume);
    // A run that ended without a last event (an exception, say) is entered as failed.
    ~Recorder();
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    // For the training thread: writes at most twice a second, and at the last event. Throws nothing: a run
    // does not end because its index cannot be written; problem() then says why.
    void operator()(const train::Event& event) noexcept;

    std::int64_t id() const { return id_; }
    const std::string& problem() const { return problem_; }  // for the training thread, or after the run

  private:
    void write() noexcept;

    Store store_;
    std::int64_t id_ = 0;
    Outcome outcome_;
    std::string problem_;
    std::chrono::steady_clock::time_point written_{};
};

}  // namespace qlora::runs
