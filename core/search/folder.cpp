#include "core/search/folder.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/search/rungs.h"

namespace qlora::search {

namespace fs = std::filesystem;

bool is_search(const fs::path& folder) {
    std::error_code error;
    return fs::is_regular_file(folder / "search.json", error);
}

void create(const fs::path& folder, const Search& search) {
    create_folders(folder);
    if (holds_files(folder))
        throw input_error("search.folder", folder.string(), "expected a new or empty folder, got one that holds files",
                          "Choose another folder, or go on with the search in it.");
    create_folders(folder / "runs");
    // The description goes last: with it the folder is a search.
    write_trials(folder, make_trials(search));
    write_atomically(folder / "search.json", to_json(search).dump(2) + "\n");
}

Standing read(const fs::path& folder) {
    Standing standing;
    standing.folder = folder;
    standing.search = load(folder / "search.json");
    const fs::path file = folder / "state.json";
    const Json json = read_json_file(file, {.bytes = std::size_t{64} << 20, .depth = 16});
    const JsonObject object(json, file.string());
    if (!object.value("trials").is_array()) object.fail("trials", "a list");
    for (const Json& json_of : object.value("trials")) {
        const Trial& trial = standing.trials.emplace_back(trial_from_json(json_of, file.string()));
        recipe::Recipe scratch = standing.search.recipe;
        const bool fits = std::ranges::all_of(standing.search.axes, [&](const Axis& axis) { return trial.values.contains(axis.key); });
        if (!fits || trial.values.size() != standing.search.axes.size() || !set_values(scratch, trial.values))
            object.fail("trials", "values of what search.json varies in run " + std::to_string(trial.number));
    }
    standing.running = is_locked(folder);
    return standing;
}

bool Standing::done() const {
    auto copy = trials;
    return !next_job(search, copy);
}

std::vector<Standing> list(const fs::path& home) {
    std::vector<std::pair<fs::file_time_type, fs::path>> found;
    std::error_code error;
    for (fs::directory_iterator entry(home / "searches", error), end; !error && entry != end; entry.increment(error)) {
        std::error_code gone;
        if (const auto time = fs::last_write_time(entry->path() / "search.json", gone); !gone) found.emplace_back(time, entry->path());
    }
    std::ranges::sort(found, std::greater<>());
    std::vector<Standing> searches;
    for (const auto& [time, folder] : found) {
        try {
            searches.push_back(read(folder));
        } catch (const Error&) {
            continue;  // of a newer program, or damaged: not this one's to show
        }
    }
    return searches;
}

fs::path new_folder(const fs::path& home, const std::string& name) {
    create_folders(home / "searches");
    return make_numbered_folder(home / "searches", name, "search", "search.folder");
}

void write_trials(const fs::path& folder, const std::vector<Trial>& trials) {
    OrderedJson json = {{"version", 1}, {"trials", OrderedJson::array()}};
    for (const Trial& trial : trials) json["trials"].push_back(to_json(trial));
    write_atomically(folder / "state.json", json.dump(1) + "\n");
}

fs::path run_folder(const fs::path& folder, const Trial& trial) {
    std::string number = std::to_string(trial.number);
    number.insert(0, 4 - std::min<std::size_t>(4, number.size()), '0');
    return folder / "runs" / number;
}

fs::path best_file(const fs::path& folder) { return folder / "best.json"; }

Lock::Lock(const fs::path& folder) : lock_(folder, "search.folder") {
    if (!lock_.taken()) throw failure("search.running", folder.string(), "another program runs this search", "Wait for it to end, or stop it.");
    remove_leftovers(folder);
}

}  // namespace qlora::search
