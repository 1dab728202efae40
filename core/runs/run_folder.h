#pragma once
// What a run folder tells about its run. Its layout: recipe.json, events.jsonl, metrics.json, adapter/,
// checkpoints/step-N/, best/, and .lock, which the trainer holds while it runs.

#include "core/events/events.h"
#include "core/runs/store.h"

namespace qlora::runs {

// How far a run came and how it ended, followed through its events.
struct Outcome {
    Figures figures;
    std::string status = "running";
    std::string error;
    bool ended() const { return status != "running"; }
    void follow(const train::Event& event);
};

// The run as its folder shows it; without a last event it is interrupted. Empty for a folder that holds no
// run, or one that is going on.
std::optional<Run> read_run_folder(const std::filesystem::path& folder);
// Checkpoints are whole or absent, so one that is there is enough.
bool has_checkpoint(const std::filesystem::path& folder);
std::int64_t bytes_of(const std::filesystem::path& folder);
// Absolute, links followed as far as the path exists: one folder has one name in the index.
std::filesystem::path canonical_folder(const std::filesystem::path& folder);
// Removes what a run wrote, and the folder itself when nothing else is in it.
void remove_run_folder(const std::filesystem::path& folder);

}  // namespace qlora::runs
