#include "ui/pages/evaluate_page.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QSignalBlocker>
#include <QStackedWidget>
#include <QVBoxLayout>
#include <utility>

#include "ui/models/predictions_model.h"
#include "ui/pages/evaluate_chat.h"
#include "ui/pages/evaluate_scoreboard.h"
#include "ui/pages/evaluate_try.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/empty_state.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/make.h"
#include "ui/widgets/progress_strip.h"
#include "ui/widgets/segmented_control.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

EvaluatePage::EvaluatePage(ChatService& chat, RunsService& runs, QWidget* parent)
    : QWidget(parent), chat_service_(chat), runs_service_(runs), model_(make<RunsModel>(this)) {
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(16, 12, 16, 12);
    column->setSpacing(theme::grid);
    column->addWidget(make_heading());
    error_ = make<ErrorPanel>(this);
    column->addWidget(error_);

    stack_ = make<QStackedWidget>(this);
    auto* empty = make<EmptyState>(u"evaluate"_s, tr("Nothing to evaluate yet"),
                                   tr("A finished run leaves an adapter. Here you measure what it taught the model, and "
                                      "talk to the model with and without it."),
                                   tr("Set up a run"));
    connect(empty, &EmptyState::activated, this, &EvaluatePage::train_requested);
    stack_->addWidget(empty);
    views_ = make<QStackedWidget>();
    scoreboard_ = make<EvaluateScoreboard>();
    chat_ = make<EvaluateChat>(chat_service_);
    try_ = make<EvaluateTry>(chat_service_);
    talk_ = make<QStackedWidget>();
    talk_->addWidget(chat_);
    talk_->addWidget(try_);
    views_->addWidget(scoreboard_);
    views_->addWidget(talk_);
    stack_->addWidget(views_);
    column->addWidget(stack_, 1);
    connect_services();
    refresh();
}

QWidget* EvaluatePage::make_heading() {
    auto* heading = make<QWidget>(this);
    auto* row = make<QHBoxLayout>(heading);
    row->setContentsMargins({});
    row->setSpacing(theme::grid * 2);
    row->addWidget(plain_label(tr("Evaluate"), "title"));
    runs_ = make<QComboBox>();
    runs_->setModel(model_);
    runs_->setAccessibleName(tr("Run"));
    runs_->setToolTip(tr("The run whose adapter is measured"));
    runs_->setMinimumWidth(420);
    runs_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    row->addWidget(runs_);
    progress_ = make<ProgressStrip>();
    row->addWidget(progress_, 1);
    view_ = make<SegmentedControl>(tr("View"), QStringList{tr("Figures"), tr("Chat")});
    row->addWidget(view_);
    connect(runs_, &QComboBox::activated, this, [this] { wanted_.clear(); });
    connect(runs_, &QComboBox::currentIndexChanged, this, &EvaluatePage::run_chosen);
    connect(view_, &SegmentedControl::changed, this, [this](int view) { views_->setCurrentIndex(view); });
    return heading;
}

void EvaluatePage::connect_services() {
    connect(&runs_service_, &RunsService::listed, this, &EvaluatePage::take);
    connect(scoreboard_, &EvaluateScoreboard::measure_requested, this, &EvaluatePage::measure);
    connect(chat_, &EvaluateChat::answering_changed, this, &EvaluatePage::take_answering);
    connect(try_, &EvaluateTry::answering_changed, this, &EvaluatePage::take_answering);
    connect(progress_, &ProgressStrip::cancelled, this, [this] {
        if (measuring_) chat_service_.cancel_measuring();
        if (answering()) chat_service_.stop_chat();
    });
    connect(&chat_service_, &ChatService::progressed, progress_, &ProgressStrip::set_progress);
    connect(&chat_service_, &ChatService::loading, this, [this](const QString& what, double done, double total) {
        if (answering()) progress_->set_progress(what, done, total);
    });
    connect(&chat_service_, &ChatService::piece, this, [this] { progress_->end(); });
    connect(&chat_service_, &ChatService::trained, this, [this](const evaluate::Report& report) {
        if (!reports_.contains({run_, steps_})) show_report(report);
    });
    connect(&chat_service_, &ChatService::measured, this, [this](const evaluate::Report& report) {
        reports_[{run_, steps_}] = report;
        show_report(report);
        set_measuring(false);
    });
    connect(&chat_service_, &ChatService::cancelled, this, [this] { set_measuring(false); });
    connect(&chat_service_, &ChatService::failed, this, [this](const Error& error) {
        set_measuring(false);
        error_->show_error(error);
    });
    connect(&chat_service_, &ChatService::chat_failed, error_, qOverload<const Error&>(&ErrorPanel::show_error));
}

void EvaluatePage::take(const std::vector<RunEntry>& entries) {
    std::vector<RunEntry> tuned;
    for (const auto& entry : entries)
        if (entry.has_adapter && entry.run.status != "running") tuned.push_back(entry);
    {
        const QSignalBlocker quiet(runs_);
        model_->set_entries(std::move(tuned));
        const QModelIndex kept = model_->index_of(run_);
        if (kept.isValid())
            runs_->setCurrentIndex(kept.row());
        else if (model_->rowCount() > 0)
            runs_->setCurrentIndex(0);
    }
    stack_->setCurrentIndex(model_->rowCount() > 0);
    if (!wanted_.isEmpty()) choose(std::exchange(wanted_, {}));
    run_chosen();
    refresh();
}

void EvaluatePage::choose(const QString& run_folder) {
    for (int row = 0; row < model_->rowCount(); ++row)
        if (QString::fromStdString(model_->entries()[row].run.folder.string()) == run_folder) {
            runs_->setCurrentIndex(row);
            return;
        }
    wanted_ = run_folder;
}

void EvaluatePage::run_chosen() {
    const RunEntry* entry = model_->entry(model_->index(runs_->currentIndex()));
    const std::int64_t id = entry ? entry->run.id : 0, steps = entry ? entry->run.steps_done : 0;
    if (id == run_ && steps == steps_) return;
    run_ = id;
    steps_ = steps;
    error_->clear();
    chat_service_.release();
    set_measuring(false);
    const auto known = reports_.find({run_, steps_});
    show_report(known == reports_.end() ? evaluate::Report{} : known->second);
    const QString name = entry ? QString::fromStdString(entry->run.name) : QString();
    chat_->set_run(name);
    try_->set_run(name);
    if (entry) chat_service_.choose(entry->run.folder);
    refresh();
}

void EvaluatePage::show_report(const evaluate::Report& report) {
    scoreboard_->set_report(report);
    const bool classifies = report.task == recipe::Task::classification;
    talk_->setCurrentIndex(classifies);
    view_->set_text(1, classifies ? tr("Try a text") : tr("Chat"));
    try_->set_values(tells_numbers(report));
}

void EvaluatePage::take_answering(bool answering) {
    if (answering) {
        error_->clear();
        progress_->begin(tr("Loading the model"), false);
    } else {
        progress_->end();
    }
    refresh();
}

bool EvaluatePage::answering() const { return chat_->answering() || try_->answering(); }

void EvaluatePage::measure() {
    error_->clear();
    set_measuring(true);
    progress_->begin(tr("Measuring on held-out rows"));
    chat_service_.measure(scoreboard_->options());
}

void EvaluatePage::set_measuring(bool measuring) {
    measuring_ = measuring;
    if (!measuring && !answering()) progress_->end();
    refresh();
}

void EvaluatePage::set_busy(const QString& why_not) {
    busy_ = why_not;
    if (!busy_.isEmpty()) chat_service_.release();
    set_measuring(measuring_ && busy_.isEmpty());
}

void EvaluatePage::refresh() {
    const bool any = model_->rowCount() > 0;
    runs_->setVisible(any);
    view_->setVisible(any);
    scoreboard_->set_blocked(!busy_.isEmpty()       ? busy_
                             : measuring_           ? tr("The run is being measured.")
                             : answering()          ? tr("The models are answering.")
                                                    : QString());
    const QString blocked = !busy_.isEmpty() ? busy_ : measuring_ ? tr("The run is being measured.") : QString();
    chat_->set_blocked(blocked);
    try_->set_blocked(blocked);
}

void EvaluatePage::showEvent(QShowEvent* event) {
    QWidget::showEvent(event);
    runs_service_.refresh();
}

}  // namespace qlora::ui
