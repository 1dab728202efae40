#pragma once
// The real engine behind the window: everything runs on background threads, answers are queued for the UI
// thread.

#include <QTimer>
#include <atomic>
#include <filesystem>
#include <memory>

#include "ui/engine/engine.h"
#include "ui/engine/task.h"

namespace qlora::ui {

class CoreEngine : public Engine {
    Q_OBJECT

  public:
    struct Options {
        std::filesystem::path home;  // of runs and their index
        std::string device = "auto";
        int threads = 0;  // 0: all cores
    };
    explicit CoreEngine(Options options, QObject* parent = nullptr);
    ~CoreEngine() override;  // stops a run that still goes, and waits for it

    void read_catalogue() override;
    void read_machine() override;
    void inspect_model(const QString& model) override;
    void summarize_data(const recipe::Recipe& recipe) override;
    void recover_runs() override;
    plan::Plan make_plan(const recipe::Recipe& recipe, const nn::ModelInfo& model,
                         const std::optional<DataSummary>& data, const Machine& machine) const override;
    void start(const recipe::Recipe& recipe) override;
    void resume(const QString& run_folder) override;
    void pause() override;
    void unpause() override;
    void stop_and_save() override;
    void stop() override;
    RunState run_state() const override { return state_; }
    QString run_folder() const override { return folder_; }
    void read_history(const QString& run_folder) override;

  private:
    struct Run;
    void launch(recipe::Recipe recipe, const QString& folder, bool resume);
    void take(const std::vector<train::Event>& events);
    void set_state(RunState state);

    Options options_;
    Task catalogue_task_, machine_task_, model_task_, data_task_, recover_task_, history_task_, meter_task_;
    QTimer meter_timer_;
    std::unique_ptr<Run> run_;
    RunState state_ = RunState::idle;
    QString folder_;
};

}  // namespace qlora::ui
