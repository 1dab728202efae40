#pragma once
// The recipe being edited, and what is known of the model, data and machine it names: the one thing that the
// Train and Data pages, the run preview and the command palette look at. UI thread only.

#include <QObject>
#include <QTimer>
#include <optional>
#include <set>

#include "ui/engine/engine.h"

namespace qlora::ui {

class RecipeDraft : public QObject {
    Q_OBJECT

  public:
    // `engine` outlives the draft.
    explicit RecipeDraft(Engine& engine, QObject* parent = nullptr);

    const recipe::Recipe& recipe() const { return recipe_; }
    void set_recipe(const recipe::Recipe& recipe);
    // Sets one field of the table, and with the task the columns back to guessing; false (and nothing changes) when the value is not allowed.
    bool set(const std::string& key, const Json& value);
    // A field holds text that is no value: the last valid value stays, but nothing starts meanwhile.
    void mark_invalid(const std::string& key, bool invalid);
    void choose_model(const QString& model);
    void choose_data(const QString& train, const QString& held_out = {});
    // Fills what is empty with the first ready model and data set of the catalogue.
    void choose_defaults();

    const std::optional<Catalogue>& catalogue() const { return catalogue_; }
    const std::optional<nn::ModelInfo>& model() const { return model_; }
    const std::optional<DataSummary>& data() const { return data_; }
    const std::optional<Error>& model_error() const { return model_error_; }
    const std::optional<Error>& data_error() const { return data_error_; }
    const Machine& machine() const { return machine_; }
    bool model_pending() const { return model_pending_; }
    bool data_pending() const { return data_pending_; }

    // The plan of the recipe as it stands; empty while the model is not known.
    const std::optional<plan::Plan>& plan() const { return plan_; }
    // The plan of another recipe on the same model, data and machine; empty where there is none.
    std::optional<plan::Plan> plan_of(const recipe::Recipe& recipe) const;
    // Problems of the recipe as a whole.
    const std::vector<recipe::Problem>& problems() const { return problems_; }
    // What is missing before it can start, for the button; empty: nothing.
    QString missing() const;

  signals:
    void edited();         // the recipe itself
    void facts_changed();  // model, data, machine, catalogue or plan

  private:
    void recompute();
    void ask();

    Engine& engine_;
    recipe::Recipe recipe_;
    std::optional<Catalogue> catalogue_;
    std::optional<nn::ModelInfo> model_;
    std::optional<DataSummary> data_;
    std::optional<Error> model_error_, data_error_;
    std::optional<plan::Plan> plan_;
    std::vector<recipe::Problem> problems_;
    std::set<std::string> invalid_;
    Machine machine_;
    QString asked_model_;
    std::optional<recipe::Data> asked_data_;
    recipe::Task asked_task_ = recipe::Task::causal_lm;
    bool model_pending_ = false, data_pending_ = false;
    QTimer ask_later_;
};

}  // namespace qlora::ui
