#pragma once
// RunsService over the run store of core/runs.

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "core/runs/store.h"
#include "ui/engine/runs_service.h"
#include "ui/engine/task.h"

namespace qlora::ui {

class CoreRunsService : public RunsService {
    Q_OBJECT

  public:
    explicit CoreRunsService(std::filesystem::path home, QObject* parent = nullptr);
    ~CoreRunsService() override;

    void refresh() override;
    void rename(qint64 id, const QString& name) override;
    void remove(qint64 id) override;

  private:
    using Command = std::function<void(runs::Store&)>;
    struct Reader;
    void ask(Command command);
    void start();

    std::shared_ptr<Reader> reader_;  // the working thread's alone while a task runs
    std::vector<Command> waiting_;
    bool again_ = false;
    Task task_;
};

}  // namespace qlora::ui
