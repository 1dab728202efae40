#pragma once
// The index of all runs: a SQLite database (WAL) in the program's home, beside the run folders it points to.
// The folders are the truth; the index can be rebuilt from them. Safe for two programs at once. Any thread,
// one store each.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/recipe/recipe.h"

namespace qlora::runs {

struct Run {
    std::int64_t id = 0;
    std::string name;
    std::filesystem::path folder;
    std::string status;  // "running", "completed", "early_stopping", "stopped_and_saved", "stopped",
                         // "failed", "interrupted"
    std::string model, data, precision, method;
    std::int64_t created = 0, updated = 0;  // seconds since 1970
    std::int64_t steps_done = 0, steps = 0;
    std::optional<double> train_loss, validation_loss, best_loss;
    std::int64_t best_step = 0, peak_bytes = 0, folder_bytes = 0;
    double seconds = 0;
    std::string error;
    int process = 0;         // of the program that runs it; 0: none
    bool resumable = false;  // ended before its end, with a whole checkpoint
};

// How far a run is. Losses that are absent leave those in the index.
struct Figures {
    std::int64_t steps_done = 0, steps = 0;
    std::optional<double> train_loss{}, validation_loss{}, best_loss{};
    std::int64_t best_step = 0, peak_bytes = 0;
    double seconds = 0;
};

class Database;

// Every function throws failure "runs.index" when the database cannot be used. A damaged database is put
// aside (runs.sqlite.damaged-N) and made anew from the run folders.
class Store {
  public:
    explicit Store(const std::filesystem::path& home);  // creates <home>/runs and <home>/runs.sqlite
    ~Store();

    // Makes a new, empty folder <home>/runs/<slug>-N for a recipe without "output"; no two programs get the
    // same.
    std::filesystem::path new_folder(const std::string& name) const;
    // A new entry with the status running, or the folder's own again when it is resumed; gives its id. Throws
    // input_error "runs.running" when a living program runs in that folder.
    std::int64_t begin(const recipe::Recipe& recipe, const std::filesystem::path& folder);
    void progress(std::int64_t id, const Figures& figures);
    void finish(std::int64_t id, const std::string& status, const std::string& error = {});
    void rename(std::int64_t id, const std::string& name);

    std::vector<Run> list() const;  // newest first
    std::optional<Run> find(const std::string& id_or_folder) const;
    // Removes the entry and what the run wrote; other files in its folder stay, and the folder with them.
    // Throws input_error "runs.running" for a running one, "runs.not_found" for an unknown one.
    void remove(std::int64_t id);
    // Marks as interrupted each running entry whose process is gone; adds run folders in <home>/runs that the
    // index does not know. Returns those newly interrupted.
    std::vector<Run> recover();

  private:
    Run require(std::int64_t id) const;

    std::filesystem::path home_;
    std::unique_ptr<Database> database_;
};

}  // namespace qlora::runs
