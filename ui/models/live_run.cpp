#include "ui/models/live_run.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ui/format/format.h"

namespace qlora::ui {

namespace {

constexpr int tell_ms = 34;

template <class Value>
void drop_from(std::vector<Value>& values, std::int64_t step) {
    while (!values.empty() && values.back().step >= step) values.pop_back();
}

}  // namespace

LiveRun::LiveRun(QObject* parent) : QObject(parent) {
    timer_.setSingleShot(true);
    timer_.setInterval(tell_ms);
    connect(&timer_, &QTimer::timeout, this, &LiveRun::advanced);
}

void LiveRun::clear() {
    loaded_.reset();
    steps_.clear();
    evaluations_.clear();
    checkpoints_.clear();
    memory_.clear();
    notices_.clear();
    progress_.reset();
    finished_.reset();
    failed_.reset();
}

void LiveRun::begin(const recipe::Recipe& recipe, const QString& folder) {
    // A resumed run goes on in its own curves.
    if (folder != folder_ || folder.isEmpty()) clear();
    finished_.reset();
    failed_.reset();
    recipe_ = recipe;
    folder_ = folder;
    replayed_ = false;
    emit restarted();
    tell();
}

void LiveRun::replay(const QString& folder, const std::vector<train::Event>& events) {
    clear();
    folder_ = folder;
    replayed_ = true;
    for (const auto& event : events) take(event);
    emit restarted();
    tell();
}

void LiveRun::take(const train::Event& event) {
    std::visit(
        [this](const auto& value) {
            using Value = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<Value, train::Progressed>) {
                progress_ = value;
            } else if constexpr (std::is_same_v<Value, train::Loaded>) {
                loaded_ = value;
                progress_.reset();
            } else if constexpr (std::is_same_v<Value, train::StepDone>) {
                drop_from(steps_, value.step);  // a resumed run tells again the steps after its checkpoint
                steps_.push_back(value);
                // The samples between are told to windows alone, not written: a run from disk has one a step.
                if (replayed_) {
                    const double before = memory_.empty() ? 0 : memory_.back().seconds;
                    memory_.push_back({.seconds = before + value.seconds, .bytes = value.bytes});
                }
                progress_.reset();
            } else if constexpr (std::is_same_v<Value, train::Evaluated>) {
                drop_from(evaluations_, value.step);
                evaluations_.push_back(value);
                progress_.reset();
            } else if constexpr (std::is_same_v<Value, train::Checkpointed>) {
                while (!checkpoints_.empty() && checkpoints_.back() >= value.step) checkpoints_.pop_back();
                checkpoints_.push_back(value.step);
            } else if constexpr (std::is_same_v<Value, train::MemorySample>) {
                while (!memory_.empty() && memory_.back().seconds >= value.seconds) memory_.pop_back();
                memory_.push_back(value);
            } else if constexpr (std::is_same_v<Value, train::Notice>) {
                notices_.push_back(value);
            } else if constexpr (std::is_same_v<Value, train::Finished>) {
                finished_ = value;
                progress_.reset();
            } else if constexpr (std::is_same_v<Value, train::Failed>) {
                failed_ = value;
                progress_.reset();
            }
        },
        event);
    tell();
    if (!replayed_ &&
        (std::holds_alternative<train::Finished>(event) || std::holds_alternative<train::Failed>(event)))
        emit ended();
}

void LiveRun::set_state(RunState state) {
    if (state == state_) return;
    state_ = state;
    emit state_changed();
    tell();
}

void LiveRun::tell() {
    if (!timer_.isActive()) timer_.start();
}

std::int64_t LiveRun::best_step() const {
    for (auto at = evaluations_.rbegin(); at != evaluations_.rend(); ++at)
        if (at->best) return at->step;
    return 0;
}

double LiveRun::seconds_left() const {
    if (!loaded_ || steps_.empty() || loaded_->steps <= 0) return std::numeric_limits<double>::quiet_NaN();
    const std::size_t recent = std::min<std::size_t>(steps_.size(), 20);
    double seconds = 0;
    for (std::size_t i = steps_.size() - recent; i < steps_.size(); ++i) seconds += steps_[i].seconds;
    return seconds / double(recent) * double(std::max<std::int64_t>(0, loaded_->steps - steps_.back().step));
}

MemoryBytes LiveRun::bytes() const {
    if (!memory_.empty()) return memory_.back().bytes;
    if (!steps_.empty()) return steps_.back().bytes;
    return loaded_ ? loaded_->bytes : MemoryBytes{};
}

QString LiveRun::state_text() const {
    if (failed_) return tr("Failed");
    if (finished_ && state_ == RunState::idle) {
        if (finished_->reason == "completed")
            return tr("Finished · %1 steps").arg(format::count(finished_->steps));
        if (finished_->reason == "early_stopping")
            return tr("Stopped early at step %1").arg(format::count(finished_->steps));
        return tr("Stopped at step %1").arg(format::count(finished_->steps));
    }
    if (empty()) return tr("No run yet");
    if (state_ == RunState::stopping) return tr("Stopping…");
    if (steps_.empty()) return progress_ ? QString::fromStdString(progress_->what) : tr("Getting ready…");
    const QString step =
        loaded_ && loaded_->steps > 0
            ? tr("Step %1 of %2").arg(format::count(steps_.back().step), format::count(loaded_->steps))
            : tr("Step %1").arg(format::count(steps_.back().step));
    if (state_ == RunState::paused) return tr("Paused · %1").arg(step);
    if (state_ == RunState::idle) return step;
    const double left = seconds_left();
    return std::isfinite(left) && left > 0.5 ? tr("%1 · %2 left").arg(step, format::duration(left)) : step;
}

QList<double> LiveRun::sparkline() const {
    constexpr std::size_t points = 120;
    QList<double> values;
    const std::size_t stride = std::max<std::size_t>(1, (steps_.size() + points - 1) / points);
    for (std::size_t i = 0; i < steps_.size(); i += stride) {
        double sum = 0;
        std::size_t counted = 0;
        for (std::size_t k = i; k < std::min(steps_.size(), i + stride); ++k)
            if (std::isfinite(steps_[k].loss)) sum += steps_[k].loss, ++counted;
        values << (counted ? sum / double(counted) : std::numeric_limits<double>::quiet_NaN());
    }
    return values;
}

}  // namespace qlora::ui
