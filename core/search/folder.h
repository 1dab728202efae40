#pragma once
// A search on disk: search.json (its description), state.json (its trials), runs/0001, ... (their run folders), best.json (the
// winner's recipe, once there is one), .lock. Each file is written beside its place and renamed, after every change, so that a
// search that was killed goes on from what is there.

#include <filesystem>
#include <functional>
#include <string>

#include "core/base/folder.h"
#include "core/search/trial.h"

namespace qlora::search {

// Begins a search: writes its description and its trials, all waiting. Throws input_error "search.folder" when the folder holds
// something else than nothing.
void create(const std::filesystem::path& folder, const Search& search);
// True when a search was begun there.
bool is_search(const std::filesystem::path& folder);

// A search as it stands; of one that is running elsewhere too.
struct Standing {
    std::filesystem::path folder;
    Search search;
    std::vector<Trial> trials;
    bool running = false;  // a living program holds it
    bool done() const;     // nothing is left to run
};
Standing read(const std::filesystem::path& folder);  // throws input_error naming the file
// Those under <home>/searches, the newest first; what cannot be read is left out.
std::vector<Standing> list(const std::filesystem::path& home);
// A new, empty <home>/searches/<slug>-N; no two programs get the same.
std::filesystem::path new_folder(const std::filesystem::path& home, const std::string& name);

void write_trials(const std::filesystem::path& folder, const std::vector<Trial>& trials);
std::filesystem::path run_folder(const std::filesystem::path& folder, const Trial& trial);
std::filesystem::path best_file(const std::filesystem::path& folder);

// Holds the folder against other programs; throws failure "search.running" when one holds it. Removes what interrupted writes left.
class Lock {
  public:
    explicit Lock(const std::filesystem::path& folder);

  private:
    FolderLock lock_;
};

}  // namespace qlora::search
