#pragma once
// The index of all runs: a SQLite database (WAL) in the program's home, beside the run folders it points to. The
// folders are the truth; the index can be rebuilt from them. Safe for two programs at once. Any thread, one store each.

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
    std::string status;  // "running", "completed", "early_stopping", "stopped_and_saved", "stopped", "failed", "interrupted"
    std::string model, data, precision, method;
    std::int64_t created = 0, updated = 0;  // seconds since 1970
    std::int64_t steps_done = 0, steps = 0;
    std::optional<double> train_loss, validation_loss, best_loss;
    std::int64_t best_step = 0, peak_bytes = 0, folder_bytes = 0;
    double seconds = 0;
    std::string error;
    int process = 0;             // of the program that runs it; 0: none
    bool resumable = false;      // has a whole checkpoint and is not running
};

class Store {
  public:
    explicit Store(const std::filesystem::path& home);  // creates <home>/runs and <home>/runs.sqlite
    ~Store();

    // A new folder <home>/runs/<slug>-N for a recipe without "output".
    std::filesystem::path new_folder(const std::string& name) const;
    std::int64_t begin(const recipe::Recipe& recipe, const std::filesystem::path& folder);  // status running
    void progress(std::int64_t id, std::int64_t steps_done, std::int64_t steps, std::optional<double> train_loss,
                  std::optional<double> validation_loss);
    void finish(std::int64_t id, const std::string& status, const std::string& error = {});
    void rename(std::int64_t id, const std::string& name);

    std::vector<Run> list() const;  // newest first
    std::optional<Run> find(const std::string& id_or_folder) const;
    // Removes entry and folder; refuses a running one.
    void remove(std::int64_t id);
    // Marks as interrupted each running entry whose process is gone; adds run folders the index does not know.
    // Returns those newly interrupted.
    std::vector<Run> recover();

  private:
    struct Database;
    std::unique_ptr<Database> database_;
};

}  // namespace qlora::runs
