#include "core/train/run_folder.h"

#include "core/base/error.h"
#include "core/base/file.h"

namespace qlora::train {

namespace fs = std::filesystem;

namespace {

std::int64_t step_of(const Json& event) {
    auto it = event.find("step");
    return it != event.end() && it->is_number_integer() ? it->get<std::int64_t>() : 0;
}

}  // namespace

RunFolder::RunFolder(const fs::path& path, bool resume) : path_(path) {
    const bool instead = !resume && is_only_tried(path);
    if (!resume && !instead && holds_files(path))
        throw input_error("run.folder", path.string(), "the run folder is not empty",
                          "Choose another output, or go on with that run (--resume).");
    create_folders(path);
    lock_.emplace(path, "run.folder");
    if (!lock_->taken())
        throw failure("run.locked", path.string(), "another run is writing into this folder", "Wait for it to end, or stop it.");
    for (const fs::path& folder : {path, path / "checkpoints", path / "best"}) remove_leftovers(folder);
    events_.open(path / "events.jsonl", instead ? std::ios::trunc : std::ios::app);
    if (!events_) throw failure("run.folder", (path / "events.jsonl").string(), "cannot be written", "Choose a folder you may write to.");
}

void RunFolder::write_recipe(const recipe::Recipe& recipe) const {
    write_atomically(path_ / "recipe.json", recipe::to_json(recipe).dump(2) + "\n");
}

void RunFolder::rewind_events(std::int64_t step) {
    events_.close();
    const fs::path file = path_ / "events.jsonl";
    std::string kept;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        Json event = Json::parse(line, nullptr, false);
        if (event.is_discarded() || !event.is_object()) continue;  // the last line of a killed run
        const std::string kind = event.value("event", "");
        if (step_of(event) <= step && kind != "finished" && kind != "failed") kept += line + "\n";
    }
    in.close();
    write_atomically(file, kept);
    events_.open(file, std::ios::app);
}

void RunFolder::log(const Event& event) {
    if (std::holds_alternative<Progressed>(event) || std::holds_alternative<MemorySample>(event)) return;
    events_ << to_json(event).dump(-1, ' ', false, OrderedJson::error_handler_t::replace) << "\n" << std::flush;
}

}  // namespace qlora::train
