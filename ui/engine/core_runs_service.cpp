#include "ui/engine/core_runs_service.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "ui/engine/loss_history.h"

namespace qlora::ui {

// What the working thread keeps between two lists: the open store and the losses read so far.
struct CoreRunsService::Reader {
    std::filesystem::path home;
    std::optional<runs::Store> store;
    std::map<std::filesystem::path, LossHistory> histories;

    runs::Store& opened() {
        if (!store) store.emplace(home);
        return *store;
    }

    std::vector<RunEntry> list(Control& control) {
        std::vector<RunEntry> entries;
        std::error_code none;
        for (auto& run : opened().list()) {
            control.check();
            RunEntry entry;
            auto history = histories.try_emplace(run.folder, run.folder / "events.jsonl").first;
            history->second.update(control);
            entry.losses = history->second.thinned();
            for (std::filesystem::directory_iterator at(run.folder / "checkpoints", none), end; at != end; at.increment(none))
                if (at->path().filename().string().starts_with("step-")) ++entry.checkpoints;
            entry.has_adapter = std::filesystem::exists(run.folder / "adapter" / "adapter_config.json", none);
            entry.run = std::move(run);
            entries.push_back(std::move(entry));
        }
        return entries;
    }
};

CoreRunsService::CoreRunsService(std::filesystem::path home, QObject* parent)
    : RunsService(parent), reader_(std::make_shared<Reader>()) {
    reader_->home = std::move(home);
    connect(&task_, &Task::failed, this, &RunsService::failed);
    const auto next = [this] {
        if (again_) start();
    };
    connect(&task_, &Task::finished, this, next);
    connect(&task_, &Task::failed, this, next);
}

CoreRunsService::~CoreRunsService() = default;

void CoreRunsService::refresh() {
    again_ = true;
    if (!task_.running()) start();
}

void CoreRunsService::rename(qint64 id, const QString& name) {
    ask([id, name = name.toStdString()](runs::Store& store) { store.rename(id, name); });
}

void CoreRunsService::remove(qint64 id) {
    ask([id](runs::Store& store) { store.remove(id); });
}

void CoreRunsService::ask(Command command) {
    waiting_.push_back(std::move(command));
    refresh();
}

void CoreRunsService::start() {
    again_ = false;
    task_.start([this, reader = reader_, commands = std::exchange(waiting_, {})](Worker& worker) {
        for (const auto& command : commands) {
            try {
                command(reader->opened());
            } catch (const Error& error) {
                worker.post([this, error] { emit failed(error); });
            }
        }
        worker.post([this, entries = reader->list(worker.control())] { emit listed(entries); });
    });
}

}  // namespace qlora::ui
