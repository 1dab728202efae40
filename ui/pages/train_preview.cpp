#include "ui/pages/train_preview.h"

#include <QHBoxLayout>
#include <QPushButton>
#include <QScrollArea>

#include "ui/format/format.h"
#include "ui/models/recipe_draft.h"
#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/figure_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/memory_bar.h"
#include "ui/widgets/notice_row.h"

namespace qlora::ui {

namespace {

constexpr int width_px = 308;

QHBoxLayout* fact(QWidget* parent, const QString& name, QLabel*& value, const QString& widest) {
    auto* row = make<QHBoxLayout>();
    row->addWidget(plain_label(name, "dim", parent));
    row->addStretch(1);
    value = make<FigureLabel>(widest, theme::body_px, parent);
    row->addWidget(value);
    return row;
}

}  // namespace

TrainPreview::TrainPreview(RecipeDraft& draft, QWidget* parent) : QFrame(parent), draft_(draft) {
    setProperty("look", "panel");
    setAccessibleName(tr("Run preview"));
    setFixedWidth(width_px);

    sentence_ = wrapped_label({}, "sentence", this);
    sentence_->setMinimumHeight(3 * 20);  // three lines, whatever the words: nothing below moves
    sentence_->setAlignment(Qt::AlignTop | Qt::AlignLeft);
    amount_ = make<FigureLabel>(QStringLiteral("~888 MB"), theme::page_title_px, this);
    amount_->setAlignment(Qt::AlignLeft);
    budget_ = plain_label({}, "dim", this);
    bar_ = make<MemoryBar>(this);
    bar_->set_thickness(22);
    legend_ = make<MemoryLegend>(this);
    verdict_ = make<NoticeRow>(NoticeRow::Weight::info, QString(), this);
    verdict_->setMinimumHeight(34);

    auto* figures = make<QHBoxLayout>();
    figures->addWidget(amount_);
    figures->addWidget(budget_, 1, Qt::AlignBottom);
    auto* notices = make<QWidget>(this);
    notices_ = make<QVBoxLayout>(notices);
    notices_->setContentsMargins(0, 0, 6, 0);
    notices_->setSpacing(6);
    auto* scroll = make<QScrollArea>(this);
    scroll->setWidgetResizable(true);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    scroll->setWidget(notices);
    scroll->setFrameShape(QFrame::NoFrame);

    start_ = make<QPushButton>(this);
    start_->setProperty("look", "primary");
    start_->setMinimumHeight(44);
    start_->setIconSize({18, 18});
    start_->setObjectName(QStringLiteral("start"));
    connect(start_, &QPushButton::clicked, this, &TrainPreview::start_requested);

    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(18, 14, 18, 16);
    column->setSpacing(8);
    column->addWidget(plain_label(tr("Run preview"), "card-title", this));
    column->addWidget(sentence_);
    column->addLayout(figures);
    column->addWidget(bar_);
    column->addWidget(legend_);
    column->addWidget(verdict_);
    column->addLayout(
        fact(this, tr("Estimated time"), time_, QStringLiteral("~88 min 88 s")));
    column->addLayout(fact(this, tr("Optimizer steps"), steps_, QStringLiteral("88,888")));
    column->addLayout(fact(this, tr("Trained parameters"), trained_, QStringLiteral("8.88M (8.8 %)")));
    column->addWidget(scroll, 1);
    column->addWidget(start_);
    connect(&draft, &RecipeDraft::facts_changed, this, &TrainPreview::refresh);
    connect(&draft, &RecipeDraft::edited, this, &TrainPreview::refresh);
    refresh();
}

void TrainPreview::set_busy(const QString& why_not) {
    busy_ = why_not;
    refresh();
}

void TrainPreview::refresh() {
    const auto& plan = draft_.plan();
    const QString none = QStringLiteral("–");
    if (plan) {
        sentence_->setText(QString::fromStdString(plan->sentence));
        bar_->set_memory(plan->bytes, plan->budget_bytes);
        legend_->set_memory(plan->bytes);
        amount_->setText(QStringLiteral("~") + format::bytes(plan->peak_bytes));
        budget_->setText(plan->budget_bytes > 0 ? tr("of %1 free").arg(format::bytes(plan->budget_bytes))
                                                : QString());
        const bool known = plan->budget_bytes > 0;
        if (!known)
            verdict_->set(NoticeRow::Weight::info, tr("Measuring this machine…"));
        else if (plan->fits)
            verdict_->set(NoticeRow::Weight::good, tr("Fits on %1").arg(draft_.machine().device));
        else
            verdict_->set(
                NoticeRow::Weight::bad,
                tr("Does not fit: %1 too much. Try a 4-bit precision, a smaller batch or shorter rows.")
                    .arg(format::bytes(plan->peak_bytes - plan->budget_bytes)));
        time_->setText(plan->total_seconds > 0 ? QStringLiteral("~") + format::duration(plan->total_seconds)
                                               : none);
        steps_->setText(plan->steps > 0 ? format::count(plan->steps) : none);
        const double share = draft_.model() && draft_.model()->parameters > 0
                                 ? double(plan->trainable_parameters) / double(draft_.model()->parameters)
                                 : NAN;
        trained_->setText(
            std::isfinite(share)
                ? tr("%1 (%2)").arg(format::parameters(plan->trainable_parameters), format::percent(share))
                : format::parameters(plan->trainable_parameters));
    } else {
        sentence_->setText(draft_.recipe().model.empty()
                               ? tr("Choose a model and a data set, and this says what will happen.")
                               : tr("Looking at the model…"));
        bar_->set_memory({}, 0);
        legend_->set_memory({});
        amount_->setText(none);
        budget_->clear();
        verdict_->set(NoticeRow::Weight::info, tr("The memory it takes is shown here before it starts."));
        for (QLabel* label : {time_, steps_, trained_}) label->setText(none);
    }
    refresh_notices();

    const QString missing = busy_.isEmpty() ? draft_.missing() : busy_;
    start_->setEnabled(missing.isEmpty());
    start_->setText(missing.isEmpty() ? tr("Start") : missing);
    start_->setIcon(missing.isEmpty() ? theme::icon(QStringLiteral("play"), theme::Ink::on_accent) : QIcon());
    start_->setToolTip(missing.isEmpty() ? tr("Start the run (Ctrl+R)") : missing);
}

void TrainPreview::refresh_notices() {
    QStringList notices;
    if (draft_.plan())
        for (const auto& notice : draft_.plan()->notices) notices << QString::fromStdString(notice);
    if (draft_.data()) notices << draft_.data()->notices;
    for (const auto& problem : draft_.problems()) {
        const QString hint = QString::fromStdString(problem.hint.empty() ? problem.expected : problem.hint);
        notices << tr("%1: %2").arg(QString::fromStdString(problem.field), hint);
    }
    notices.removeDuplicates();
    if (notices == shown_notices_) return;
    shown_notices_ = notices;
    while (QLayoutItem* item = notices_->takeAt(0)) {
        std::unique_ptr<QLayoutItem> owned(item);
        if (item->widget()) item->widget()->deleteLater();
    }
    for (const QString& notice : notices)
        notices_->addWidget(make<NoticeRow>(NoticeRow::Weight::info, notice, this));
    notices_->addStretch(1);
}

}  // namespace qlora::ui
