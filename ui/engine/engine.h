#pragma once
// What the window asks of the engine beside data sets, stored runs and chat: requests in, queued signals out. The real
// one works on background threads (core_engine.h); tests play recorded events. UI thread only; nothing here blocks.

#include <QObject>
#include <QString>
#include <optional>
#include <string>
#include <vector>

#include "core/events/events.h"
#include "core/hub/catalogue.h"
#include "core/memory/meters.h"
#include "core/nn/model_info.h"
#include "core/plan/plan.h"
#include "core/recipe/recipe.h"
#include "core/runs/store.h"

namespace qlora::ui {

struct Catalogue {
    std::vector<hub::CatalogueModel> models;
    std::vector<hub::CatalogueData> datasets;
    std::vector<recipe::Recipe> recipes{};  // ready ones whose model and data are there
};

// What the Data card and the planner want to know of the data set a recipe names.
struct DataSummary {
    QString source;       // as in the recipe
    QString name;         // for people
    QStringList columns;  // with their parts: "question (prompt)"
    std::int64_t rows = 0;
    std::int64_t test_rows = 0, dropped_rows = 0;
    plan::DataFacts facts;
    bool exact = true;    // false: token counts are of the first rows only
    QString prompt, answer;  // of the first row; plain text has no prompt
    QStringList notices;
};

// The machine, as the run preview and the corner of the window show it.
struct Machine {
    QString device;  // "CPU · 8 threads", "NVIDIA GeForce RTX 4090"
    std::int64_t budget_bytes = 0;
    plan::GemmRates gemm{};  // 0: not measured yet
};

enum class RunState { idle, preparing, running, paused, stopping };

class Engine : public QObject {
    Q_OBJECT

  public:
    using QObject::QObject;

    // Each answered by its *_ready or *_failed; a new request takes the place of one of its kind that still runs.
    virtual void read_catalogue() = 0;
    virtual void read_machine() = 0;
    virtual void inspect_model(const QString& model) = 0;
    // Uses data.*, model and train.seed of the recipe.
    virtual void summarize_data(const recipe::Recipe& recipe) = 0;
    // Runs whose program has gone away: recovered() follows.
    virtual void recover_runs() = 0;
    // Pure arithmetic, on the calling thread. Throws input_error for a recipe it cannot plan.
    virtual plan::Plan make_plan(const recipe::Recipe& recipe, const nn::ModelInfo& model,
                                 const std::optional<DataSummary>& data, const Machine& machine) const = 0;

    // One run at a time. Events follow, the last one Finished or Failed.
    virtual void start(const recipe::Recipe& recipe) = 0;
    virtual void resume(const QString& run_folder) = 0;
    virtual void pause() = 0;
    virtual void unpause() = 0;
    virtual void stop_and_save() = 0;
    virtual void stop() = 0;
    virtual RunState run_state() const = 0;
    virtual QString run_folder() const = 0;  // of the run that goes or went last
    // The events of a stored run, read in the background: history_ready() or history_failed() follows.
    virtual void read_history(const QString& run_folder) = 0;

  signals:
    void catalogue_ready(const qlora::ui::Catalogue& catalogue);
    void catalogue_failed(const qlora::Error& error);
    void machine_ready(const qlora::ui::Machine& machine);
    void model_ready(const QString& model, const qlora::nn::ModelInfo& info);
    void model_failed(const QString& model, const qlora::Error& error);
    void data_progressed(const QString& what, double done, double total);
    void data_ready(const qlora::ui::DataSummary& data);
    void data_failed(const QString& source, const qlora::Error& error);
    void recovered(const std::vector<qlora::runs::Run>& interrupted);
    void run_started(const qlora::recipe::Recipe& recipe, const QString& folder);
    void event(const qlora::train::Event& event);
    void run_state_changed(qlora::ui::RunState state);
    void history_ready(const QString& folder, const std::vector<qlora::train::Event>& events);
    void history_failed(const QString& folder, const qlora::Error& error);
    // Twice a second while the window shows, whether a run goes or not.
    void metered(const qlora::memory::Reading& reading);
};

}  // namespace qlora::ui
