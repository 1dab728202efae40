#pragma once
// An engine that answers at once with recorded facts and events, for tests of pages and window.

#include "ui/engine/engine.h"

namespace qlora::ui {

class RecordedEngine : public Engine {
    Q_OBJECT

  public:
    RecordedEngine();

    void read_catalogue() override { emit catalogue_ready(catalogue); }
    void read_machine() override { emit machine_ready(machine); }
    void inspect_model(const QString& model) override;
    void summarize_data(const recipe::Recipe& recipe) override;
    void recover_runs() override { emit recovered(interrupted); }
    plan::Plan make_plan(const recipe::Recipe& recipe, const nn::ModelInfo& model,
                         const std::optional<DataSummary>& data, const Machine& machine) const override;
    void start(const recipe::Recipe& recipe) override;
    void resume(const QString& run_folder) override { calls << "resume " + run_folder; }
    void pause() override {
        calls << "pause";
        set_state(RunState::paused);
    }
    void unpause() override {
        calls << "unpause";
        set_state(RunState::running);
    }
    void stop_and_save() override {
        calls << "stop_and_save";
        set_state(RunState::stopping);
    }
    void stop() override {
        calls << "stop";
        set_state(RunState::stopping);
    }
    RunState run_state() const override { return state; }
    QString run_folder() const override { return "/runs/banking-1"; }
    void read_history(const QString& folder) override { emit history_ready(folder, events); }

    // Plays the recorded run's events up to a step; all of them, Finished included, without one.
    void play(std::int64_t until_step = INT64_MAX);
    void set_state(RunState next);

    Catalogue catalogue;
    Machine machine;
    nn::ModelInfo model;
    DataSummary data;
    std::vector<runs::Run> interrupted;
    std::vector<train::Event> events;
    std::optional<Error> model_error, data_error;
    std::int64_t budget = 14'000'000'000;
    QStringList calls;
    RunState state = RunState::idle;
    recipe::Recipe started;

  private:
    std::size_t played_ = 0;
};

}  // namespace qlora::ui
