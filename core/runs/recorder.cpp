#include "core/runs/recorder.h"

#include "core/base/error.h"
#include "core/base/folder.h"

namespace qlora::runs {

namespace fs = std::filesystem;

namespace {

void refuse_used_folder(const fs::path& folder) {
    if (train::is_only_tried(folder)) return;
    std::error_code error;
    if (holds_files(folder) || (fs::exists(folder, error) && !fs::is_directory(folder, error)))
        throw input_error("runs.folder", folder.string(),
                          "expected a new or empty folder, got one that holds files",
                          "Choose another folder, or resume the run in it.");
}

}  // namespace

Recorder::Recorder(const fs::path& home, const recipe::Recipe& recipe, const fs::path& folder, bool resume)
    : store_(home) {
    if (!resume) refuse_used_folder(folder);
    id_ = store_.begin(recipe, folder);
}

Recorder::~Recorder() {
    if (outcome_.ended()) return;
    outcome_.status = "failed";
    outcome_.error = "the run ended without saying why";
    write();
}

void Recorder::operator()(const train::Event& event) noexcept {
    outcome_.follow(event);  // small values only
    auto now = std::chrono::steady_clock::now();
    if (outcome_.ended() || now - written_ >= std::chrono::milliseconds(500)) {
        written_ = now;
        write();
    }
}

void Recorder::write() noexcept {
    try {
        store_.progress(id_, outcome_.figures);
        if (outcome_.ended()) store_.finish(id_, outcome_.status, outcome_.error);
        problem_.clear();
    } catch (const std::exception& error) {
        problem_ = error.what();
    }
}

}  // namespace qlora::runs
