#include "core/runs/run_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"

namespace qlora::runs {

namespace fs = std::filesystem;

namespace {

template <typename... Fs>
struct Overloaded : Fs... {
    using Fs::operator()...;
};
template <class... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

std::optional<double> finite(double value) {
    return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::int64_t modified(const fs::path& file) {
    struct stat info {};
    return ::stat(file.c_str(), &info) == 0 ? static_cast<std::int64_t>(info.st_mtime) : 0;
}

bool is_written_by_a_run(const std::string& name) {
    static constexpr std::array<std::string_view, 7> names = {
        "recipe.json", "events.jsonl", "metrics.json", "adapter", "checkpoints", "best", ".lock"};
    return std::find(names.begin(), names.end(), name) != names.end() ||
           is_leftover(name);
}

}  // namespace

void Outcome::follow(const train::Event& event) {
    std::visit(Overloaded{[&](const train::Loaded& loaded) {
                              figures.steps = loaded.steps;
                              figures.steps_done = loaded.first_step;
                              status = "running";  // resumed
                              error.clear();
                          },
                          [&](const train::StepDone& step) {
                              figures.steps_done = step.step;
                              if (auto loss = finite(step.loss)) figures.train_loss = loss;
                              figures.peak_bytes = std::max(figures.peak_bytes, step.peak_bytes);
                              figures.seconds += step.seconds;
                          },
                          [&](const train::Evaluated& evaluated) {
                              auto loss = finite(evaluated.loss);
                              if (loss) figures.validation_loss = loss;
                              if (loss && evaluated.best)
                                  figures.best_loss = loss, figures.best_step = evaluated.step;
                          },
                          [&](const train::Finished& finished) {
                              status = finished.reason;
                              figures.steps_done = finished.steps;
                              figures.peak_bytes = std::max(figures.peak_bytes, finished.peak_bytes);
                              figures.seconds = finished.seconds;
                          },
                          [&](const train::Failed& failed) {
                              status = "failed";
                              error = failed.message;
                          },
                          [](const auto&) {}},
               event);
}

std::optional<Run> read_run_folder(const fs::path& folder) {
    Run run;
    run.folder = canonical_folder(folder);
    Outcome outcome;
    try {
        std::vector<recipe::Problem> problems;  // of an older program's recipe, say: the run is still one
        recipe::Recipe recipe = recipe::from_json(read_json_file(folder / "recipe.json"), {}, problems);
        run.name = recipe::title(recipe);
        run.model = recipe.model;
        run.data = recipe.data.train;
        run.precision = name(recipe.precision);
        run.method = method_title(recipe.method);
        for (const train::Event& event : train::read_events(folder / "events.jsonl")) outcome.follow(event);
    } catch (const Error& error) {
        if (run.model.empty()) return std::nullopt;
        if (!error.code().starts_with("file.")) outcome.error = error.message();
    }
    if (!outcome.ended() && is_locked(folder)) return std::nullopt;  // the trainer holds its folder while it runs
    run.status = outcome.ended() ? outcome.status : "interrupted";
    run.error = outcome.error;
    run.created = modified(folder / "recipe.json");
    run.updated = std::max(run.created, modified(folder / "events.jsonl"));
    run.steps_done = outcome.figures.steps_done, run.steps = outcome.figures.steps;
    run.train_loss = outcome.figures.train_loss, run.validation_loss = outcome.figures.validation_loss;
    run.best_loss = outcome.figures.best_loss, run.best_step = outcome.figures.best_step;
    run.peak_bytes = outcome.figures.peak_bytes, run.seconds = outcome.figures.seconds;
    run.folder_bytes = bytes_of(folder);
    return run;
}

bool has_checkpoint(const fs::path& folder) {
    std::error_code error;
    for (fs::directory_iterator entry(folder / "checkpoints", error), end; !error && entry != end;
         entry.increment(error)) {
        std::string name = entry->path().filename();
        if (name.starts_with("step-") && name.size() > 5 &&
            name.find_first_not_of("0123456789", 5) == std::string::npos)
            return true;
    }
    return false;
}

std::int64_t bytes_of(const fs::path& folder) {
    std::error_code error;
    std::int64_t bytes = 0;
    for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code gone;  // a checkpoint may be deleted meanwhile
        if (entry->is_regular_file(gone) && !entry->is_symlink(gone))
            if (auto size = entry->file_size(gone); !gone) bytes += static_cast<std::int64_t>(size);
    }
    return bytes;
}

fs::path canonical_folder(const fs::path& folder) {
    std::error_code error;
    fs::path canonical = fs::weakly_canonical(fs::absolute(folder), error);
    if (error) canonical = fs::absolute(folder).lexically_normal();
    return canonical.has_filename() ? canonical : canonical.parent_path();
}

void remove_run_folder(const fs::path& folder) {
    std::error_code error;
    std::vector<fs::path> ours;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        if (is_written_by_a_run(entry->path().filename())) ours.push_back(entry->path());
    // The recipe goes last: until then the folder is still known as a run's when this is cut off.
    std::sort(ours.begin(), ours.end(), [](const fs::path& a, const fs::path& b) {
        return (a.filename() == "recipe.json") < (b.filename() == "recipe.json");
    });
    for (const fs::path& path : ours) {
        fs::remove_all(path, error);
        if (error)
            throw failure("runs.remove", path.string(), "cannot remove: " + error.message(),
                          "Check that you may write to the folder.");
    }
    fs::remove(folder, error);  // fails when something else is in it, and that is meant
}

}  // namespace qlora::runs
