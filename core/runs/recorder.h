#pragma once
// Keeps a run's entry in the index true while the run goes: a sink beside the window's or the command line's own.

#include <chrono>
#include <filesystem>
#include <string>

#include "core/events/events.h"
#include "core/runs/store.h"

namespace qlora::runs {

class Recorder {
  public:
    // Enters the run into <home>'s index as running. Throws input_error "runs.folder" when a run without `resume`
    // would write into a folder that is not empty, "runs.running" as Store::begin does.
    Recorder(const std::filesystem::path& home, const recipe::Recipe& recipe, const std::filesystem::path& folder,
             bool resume);
    // The run ended without a last event (an exception, say): the entry says failed.
    ~Recorder();
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    // For the training thread: at most two writes a second beside the last. Throws nothing: a run does not end
    // because its index cannot be written; problem() then says why.
    void operator()(const train::Event& event) noexcept;

    std::int64_t id() const { return id_; }
    const std::string& problem() const { return problem_; }  // for the training thread, or after the run

  private:
    void write(bool last);

    Store store_;
    std::int64_t id_ = 0;
    Figures figures_;
    std::string status_, error_;
    std::string problem_;
    std::chrono::steady_clock::time_point written_{};
};

}  // namespace qlora::runs
