#include "app/qlora/run_name.h"

#include "core/base/error.h"
#include "core/runs/store.h"

namespace qlora::cli {

namespace fs = std::filesystem;

fs::path run_folder(const fs::path& home, const std::string& run) {
    std::error_code error;
    if (fs::is_regular_file(fs::path(run) / "recipe.json", error))
        return fs::absolute(run).lexically_normal();
    if (fs::is_directory(run, error))
        throw input_error("runs.not_found", run,
                          "expected a run's folder with a recipe.json in it, got another folder",
                          "'qlora runs' lists the runs.");
    if (auto known = runs::Store(home).find(run)) return known->folder;
    throw input_error("runs.not_found", run, "there is no such run",
                      "'qlora runs' lists them with their numbers.");
}

}  // namespace qlora::cli
