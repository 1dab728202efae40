#include "ui/pages/live_page.h"

#include <QFrame>
#include <QGridLayout>
#include <QLabel>
#include <QMenu>
#include <QProgressBar>
#include <QPushButton>
#include <QStackedWidget>
#include <cmath>

#include "core/base/error.h"
#include "ui/charts/loss_chart.h"
#include "ui/charts/memory_chart.h"
#include "ui/charts/quality_chart.h"
#include "ui/charts/series_chart.h"
#include "ui/dialogs/dialogs.h"
#include "ui/format/format.h"
#include "ui/models/live_run.h"
#include "ui/pages/live_side.h"
#include "ui/theme/icons.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/empty_state.h"
#include "ui/widgets/error_panel.h"
#include "ui/widgets/figure_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/segmented_control.h"

namespace qlora::ui {

namespace {

QFrame* framed(QWidget* content, QWidget* parent) {
    auto* frame = make<QFrame>(parent);
    frame->setProperty("look", "card");
    auto* column = make<QVBoxLayout>(frame);
    column->setContentsMargins(12, 6, 10, 4);
    column->addWidget(content);
    return frame;
}

}  // namespace

LivePage::LivePage(LiveRun& run, Dialogs& dialogs, QWidget* parent)
    : QWidget(parent), run_(run), dialogs_(dialogs) {
    auto* empty =
        make<EmptyState>(QStringLiteral("live"), tr("No run to watch yet"),
                         tr("Once a run goes, its losses, speed and memory are drawn here while it learns."),
                         tr("Set up a run"), this);
    connect(empty, &EmptyState::activated, this, &LivePage::train_requested);
    auto* content = make<QWidget>(this);
    auto* grid = make<QGridLayout>(content);
    grid->setContentsMargins(20, 8, 20, 16);
    grid->setHorizontalSpacing(12);
    grid->setVerticalSpacing(8);
    grid->addWidget(make_heading(), 0, 0, 1, 2);
    error_ = make<ErrorPanel>(content);
    grid->addWidget(error_, 1, 0, 1, 2);
    grid->addWidget(make_charts(), 2, 0);
    grid->addWidget(make_side(), 2, 1);
    grid->setColumnStretch(0, 1);
    grid->setRowStretch(2, 1);
    stack_ = make<QStackedWidget>(this);
    stack_->addWidget(empty);
    stack_->addWidget(content);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->addWidget(stack_);
    for (Chart* chart : std::initializer_list<Chart*>{loss_, quality_, rate_, norm_, speed_, memory_})
        connect(chart, &Chart::export_requested, this,
                [this, chart](const QString& suffix) { save_chart(chart, suffix); });
    connect(&run, &LiveRun::restarted, this, &LivePage::restart);
    connect(&run, &LiveRun::advanced, this, &LivePage::advance);
    connect(&run, &LiveRun::state_changed, this, &LivePage::refresh_controls);
    restart();
}

QWidget* LivePage::make_heading() {
    auto* heading = make<QWidget>(this);
    auto* rows = make<QVBoxLayout>(heading);
    rows->setContentsMargins(0, 0, 0, 0);
    rows->setSpacing(6);
    auto* top = make<QHBoxLayout>();
    top->setSpacing(12);
    top->addWidget(plain_label(tr("Live"), "title", heading));
    sentence_ = make<ElidedLabel>(QString(), heading);
    sentence_->setProperty("look", "dim");
    sentence_->setAlignment(Qt::AlignLeft | Qt::AlignBottom);
    top->addWidget(sentence_, 1);
    evaluate_ = make<QPushButton>(theme::icon(QStringLiteral("evaluate"), theme::Ink::on_accent),
                                  tr("Evaluate it"), heading);
    evaluate_->setProperty("look", "primary");
    connect(evaluate_, &QPushButton::clicked, this, [this] { emit evaluate_requested(run_.folder()); });
    pause_ = make<QPushButton>(heading);
    pause_->setAccessibleName(tr("Pause or resume"));
    pause_->setMinimumWidth(104);
    connect(pause_, &QPushButton::clicked, this, [this] {
        if (run_.state() == RunState::paused)
            emit unpause_requested();
        else
            emit pause_requested();
    });
    stop_ = make<QPushButton>(theme::icon(QStringLiteral("stop")), tr("Stop"), heading);
    auto* menu = make<QMenu>(stop_);
    menu->addAction(theme::icon(QStringLiteral("save")), tr("Stop and save"), this,
                    &LivePage::stop_and_save_requested);
    menu->addAction(theme::icon(QStringLiteral("stop")), tr("Stop without saving"), this,
                    &LivePage::stop_requested);
    stop_->setMenu(menu);
    stop_->setProperty("menu", true);
    for (QPushButton* button : {evaluate_, pause_, stop_}) top->addWidget(button);
    rows->addLayout(top);
    auto* below = make<QHBoxLayout>();
    below->setSpacing(12);
    state_ = plain_label({}, nullptr, heading);
    state_->setMinimumWidth(250);
    progress_ = make<QProgressBar>(heading);
    progress_->setTextVisible(false);
    progress_->setAccessibleName(tr("Progress of the run"));
    figures_ = make<FigureLabel>(QStringLiteral("epoch 8.88 · 88,888 tok/s · peak 8.88 GB"), 12, heading);
    below->addWidget(state_);
    below->addWidget(progress_, 1);
    below->addWidget(figures_);
    rows->addLayout(below);
    return heading;
}

QWidget* LivePage::make_charts() {
    auto* charts = make<QWidget>(this);
    loss_ = make<LossChart>(charts);
    quality_ = make<QualityChart>(charts);
    rate_ = make<SeriesChart>(tr("Learning rate"), QString(), charts);
    norm_ = make<SeriesChart>(tr("Gradient norm"), QString(), charts);
    speed_ = make<SeriesChart>(tr("Speed"), tr("tok/s"), charts);
    speed_->set_y_from_zero(true);
    loss_frame_ = framed(loss_, charts);
    quality_frame_ = framed(quality_, charts);
    charts_ = make<QGridLayout>(charts);
    charts_->setContentsMargins(0, 0, 0, 0);
    charts_->setSpacing(10);
    charts_->addWidget(framed(rate_, charts), 1, 0);
    charts_->addWidget(framed(norm_, charts), 1, 1);
    charts_->addWidget(framed(speed_, charts), 1, 2);
    charts_->setRowStretch(0, 9);
    charts_->setRowStretch(1, 5);
    for (int column = 0; column < 3; ++column) charts_->setColumnStretch(column, 1);
    show_quality(false);
    return charts;
}

// Runs that measure more than a loss have a chart for it beside the loss.
void LivePage::show_quality(bool shown) {
    charts_->addWidget(loss_frame_, 0, 0, 1, shown ? 2 : 3);
    if (shown) charts_->addWidget(quality_frame_, 0, 2);
    quality_frame_->setVisible(shown);
}

QWidget* LivePage::make_side() {
    auto* side = make<QWidget>(this);
    side->setFixedWidth(372);
    memory_ = make<MemoryChart>(side);
    auto* lower = make<QWidget>(side);
    side_choice_ = make<SegmentedControl>(tr("Panel"), QStringList{tr("Answers"), tr("Run doctor")}, lower);
    answers_ = make<LiveAnswers>(lower);
    health_ = make<LiveHealth>(lower);
    auto* panels = make<QStackedWidget>(lower);
    panels->addWidget(answers_);
    panels->addWidget(health_);
    connect(side_choice_, &SegmentedControl::changed, panels, &QStackedWidget::setCurrentIndex);
    auto* column = make<QVBoxLayout>(lower);
    column->setContentsMargins(0, 4, 0, 4);
    column->addWidget(side_choice_);
    column->addWidget(panels, 1);
    auto* both = make<QVBoxLayout>(side);
    both->setContentsMargins(0, 0, 0, 0);
    both->setSpacing(10);
    both->addWidget(framed(memory_, side), 6);
    both->addWidget(framed(lower, side), 6);
    return side;
}

void LivePage::set_predicted_peak(std::int64_t bytes) {
    memory_->set_predicted_peak(bytes);
}

void LivePage::restart() {
    loss_->clear();
    quality_->clear();
    show_quality(false);
    for (SeriesChart* chart : {rate_, norm_, speed_}) chart->clear_points();
    for (Chart* chart : std::initializer_list<Chart*>{loss_, rate_, norm_, speed_, memory_}) chart->fit();
    memory_->clear();
    answers_->clear();
    steps_shown_ = evaluations_shown_ = memory_shown_ = checkpoints_shown_ = 0;
    error_->clear();
    advance();
}

void LivePage::advance() {
    stack_->setCurrentIndex(run_.empty() ? 0 : 1);
    if (run_.empty()) return;
    const auto& steps = run_.steps();
    // After a resume the steps behind the checkpoint come again: the charts drop what they replace.
    steps_shown_ = std::min(steps_shown_, steps.size());
    for (; steps_shown_ < steps.size(); ++steps_shown_) {
        const auto& step = steps[steps_shown_];
        loss_->add_train(step.step, step.skipped ? NAN : step.loss);
        rate_->add(step.step, step.learning_rate);
        norm_->add(step.step, step.grad_norm);
        speed_->add(step.step, step.tokens_per_second);
    }
    const auto& evaluations = run_.evaluations();
    evaluations_shown_ = std::min(evaluations_shown_, evaluations.size());
    for (; evaluations_shown_ < evaluations.size(); ++evaluations_shown_) {
        const auto& evaluation = evaluations[evaluations_shown_];
        loss_->add_validation(evaluation.step, evaluation.loss);
        quality_->add(evaluation.step, evaluation.metrics);
        if (quality_->curves() > 0 && quality_frame_->isHidden()) show_quality(true);
        loss_->set_y_label(evaluation.metrics.contains("perplexity") ? tr("nats / token") : tr("loss a row"));
        answers_->add(evaluation);
        const auto turn = run_.overfit_step();
        loss_->set_best(turn > 0 ? turn : run_.best_step(), turn > 0);
    }
    if (checkpoints_shown_ != run_.checkpoints().size()) {
        checkpoints_shown_ = run_.checkpoints().size();
        loss_->set_checkpoints(run_.checkpoints());
    }
    memory_shown_ = std::min(memory_shown_, run_.memory().size());
    for (; memory_shown_ < run_.memory().size(); ++memory_shown_)
        memory_->add(run_.memory()[memory_shown_].seconds, run_.memory()[memory_shown_].bytes);
    health_->set_findings(run_.findings());
    refresh_controls();
}

void LivePage::refresh_controls() {
    const bool active = run_.active();
    const bool paused = run_.state() == RunState::paused;
    sentence_->set_text(run_.sentence());
    state_->setText(run_.state_text());
    if (run_.progress() && run_.progress()->total > 0) {
        progress_->setRange(0, 1000);
        progress_->setValue(int(1000 * run_.progress()->done / run_.progress()->total));
    } else if (active && run_.steps().empty()) {
        progress_->setRange(0, 0);
    } else {
        progress_->setRange(0, int(std::max<std::int64_t>(1, run_.total_steps())));
        progress_->setValue(run_.steps().empty() ? 0 : int(run_.steps().back().step));
    }
    if (!run_.steps().empty()) {
        const auto& step = run_.steps().back();
        figures_->setText(tr("epoch %1 · %2 · peak %3")
                              .arg(step.epoch, 0, 'f', 2)
                              .arg(format::rate(step.tokens_per_second), format::bytes(step.peak_bytes)));
    } else {
        figures_->clear();
    }
    pause_->setVisible(active);
    pause_->setText(paused ? tr("Go on") : tr("Pause"));
    pause_->setIcon(theme::icon(paused ? QStringLiteral("play") : QStringLiteral("pause")));
    pause_->setEnabled(run_.state() == RunState::running || paused);
    pause_->setToolTip(pause_->isEnabled() ? tr("Space") : tr("The run is not at its steps yet"));
    stop_->setVisible(active);
    stop_->setEnabled(run_.state() != RunState::stopping);
    evaluate_->setVisible(!active && run_.finished().has_value());
    if (run_.failed() && error_->isHidden()) {
        const auto& failed = *run_.failed();
        error_->show_error(QString::fromStdString(failed.message), QString::fromStdString(failed.where),
                           QString::fromStdString(failed.hint), QString::fromStdString(failed.code));
    }
}

void LivePage::save_chart(Chart* chart, const QString& suffix) {
    const QString path =
        dialogs_.save_file(this, tr("Save the chart"), chart->accessibleName() + QLatin1Char('.') + suffix,
                           QStringLiteral("%1 (*.%2)").arg(suffix.toUpper(), suffix));
    if (path.isEmpty()) return;
    try {
        if (suffix == QLatin1String("png"))
            chart->export_png(path);
        else if (suffix == QLatin1String("svg"))
            chart->export_svg(path);
        else
            chart->export_csv(path);
    } catch (const Error& error) {
        error_->show_error(error);
    }
}

}  // namespace qlora::ui
