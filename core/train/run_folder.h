#pragma once
// The folder of a run: recipe.json, events.jsonl, adapter/, checkpoints/, best/, metrics.json; held by one run at a time.

#include <filesystem>
#include <fstream>
#include <optional>

#include "core/base/folder.h"
#include "core/events/events.h"
#include "core/recipe/recipe.h"

namespace qlora::train {

class RunFolder {
  public:
    // Creates or opens the folder and locks it. Throws failure "run.locked" when another run holds it, input_error
    // "run.folder" when it should be new but holds something other than a run that was only tried, whose place it takes.
    RunFolder(const std::filesystem::path& path, bool resume);

    const std::filesystem::path& path() const { return path_; }
    void write_recipe(const recipe::Recipe& recipe) const;

    // Keeps the events up to `step`, as the checkpoint that is gone on from saw them, and drops the later ones.
    void rewind_events(std::int64_t step);
    // Appends one line; Progressed and MemorySample are not kept.
    void log(const Event& event);

  private:
    std::filesystem::path path_;
    std::optional<FolderLock> lock_;
    std::ofstream events_;
};

}  // namespace qlora::train
