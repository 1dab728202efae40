#pragma once
// What the window knows of the run that goes, or of a stored one being looked at: its state, figures, curves
// and notices, gathered from events. UI thread only; taking in an event costs microseconds.

#include <QObject>
#include <QTimer>
#include <deque>
#include <optional>
#include <vector>

#include "ui/engine/engine.h"

namespace qlora::ui {

// A sentence of the run doctor, with its weight.
struct Finding {
    enum class Weight { info, good, warning, bad } weight = Weight::info;
    QString text;
    bool operator==(const Finding&) const = default;
};

class LiveRun : public QObject {
    Q_OBJECT

  public:
    explicit LiveRun(QObject* parent = nullptr);

    void begin(const recipe::Recipe& recipe, const QString& folder);
    void take(const train::Event& event);
    void set_state(RunState state);
    void replay(const QString& folder, const std::vector<train::Event>& events);  // a stored run

    bool empty() const { return folder_.isEmpty(); }
    bool active() const { return state_ != RunState::idle; }
    bool replayed() const { return replayed_; }
    RunState state() const { return state_; }
    QString folder() const { return folder_; }
    const recipe::Recipe& recipe() const { return recipe_; }
    void set_sentence(const QString& sentence) { sentence_ = sentence; }
    const QString& sentence() const { return sentence_; }

    const std::optional<train::Loaded>& loaded() const { return loaded_; }
    const std::vector<train::StepDone>& steps() const { return steps_; }
    const std::vector<train::Evaluated>& evaluations() const { return evaluations_; }
    const std::vector<std::int64_t>& checkpoints() const { return checkpoints_; }
    const std::vector<train::MemorySample>& memory() const { return memory_; }
    const std::vector<train::Notice>& notices() const { return notices_; }
    const std::optional<train::Progressed>& progress() const { return progress_; }
    const std::optional<train::Finished>& finished() const { return finished_; }
    const std::optional<train::Failed>& failed() const { return failed_; }
    std::int64_t best_step() const;
    // The step of the lowest validation loss, where at least two evaluations have come since and the last lies 2 % above it: from
    // here on the rows are learned by heart. -1: the loss has not turned.
    std::int64_t overfit_step() const;
    std::int64_t total_steps() const { return loaded_ ? loaded_->steps : 0; }
    double seconds_left() const;  // NaN: unknown
    MemoryBytes bytes() const;    // newest

    QString state_text() const;  // "Step 40 of 156 · 2 min 10 s left"
    QList<double> sparkline() const;
    std::vector<Finding> findings() const;  // the run doctor

  signals:
    void restarted();  // everything before is another run's
    void advanced();   // at most 30 times a second
    void state_changed();
    void ended();  // Finished or Failed has come

  private:
    void clear();
    void tell();

    recipe::Recipe recipe_;
    QString folder_, sentence_;
    RunState state_ = RunState::idle;
    bool replayed_ = false;
    std::optional<train::Loaded> loaded_;
    std::vector<train::StepDone> steps_;
    std::vector<train::Evaluated> evaluations_;
    std::vector<std::int64_t> checkpoints_;
    std::vector<train::MemorySample> memory_;
    std::vector<train::Notice> notices_;
    std::optional<train::Progressed> progress_;
    std::optional<train::Finished> finished_;
    std::optional<train::Failed> failed_;
    QTimer timer_;
};

}  // namespace qlora::ui
