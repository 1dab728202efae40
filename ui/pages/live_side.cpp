#include "ui/pages/live_side.h"

#include <QComboBox>
#include <QFrame>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>

#include "ui/format/format.h"
#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/notice_row.h"

namespace qlora::ui {

namespace {

QWidget* quote(const QString& speaker, const std::string& text, const char* look, QWidget* parent) {
    auto* frame = make<QFrame>(parent);
    frame->setProperty("look", look);
    auto* column = make<QVBoxLayout>(frame);
    column->setContentsMargins(10, 6, 10, 8);
    column->setSpacing(2);
    column->addWidget(plain_label(speaker, "dim", frame));
    auto* words = wrapped_label(QString::fromStdString(text).trimmed(), nullptr, frame);
    words->setTextInteractionFlags(Qt::TextSelectableByMouse);
    column->addWidget(words);
    return frame;
}

NoticeRow::Weight weight_of(Finding::Weight weight) {
    switch (weight) {
        case Finding::Weight::good:
            return NoticeRow::Weight::good;
        case Finding::Weight::warning:
            return NoticeRow::Weight::warning;
        case Finding::Weight::bad:
            return NoticeRow::Weight::bad;
        case Finding::Weight::info:
            break;
    }
    return NoticeRow::Weight::info;
}

}  // namespace

LiveHealth::LiveHealth(QWidget* parent) : QScrollArea(parent) {
    setWidgetResizable(true);
    setFrameShape(QFrame::NoFrame);
    setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    setAccessibleName(tr("What the run doctor says"));
    auto* content = make<QWidget>(this);
    column_ = make<QVBoxLayout>(content);
    column_->setContentsMargins(0, 4, 6, 4);
    column_->setSpacing(8);
    setWidget(content);
    shown_ = {{Finding::Weight::info, {}}};
    set_findings({});
}

void LiveHealth::set_findings(const std::vector<Finding>& findings) {
    if (findings == shown_) return;
    shown_ = findings;
    while (QLayoutItem* item = column_->takeAt(0)) {
        std::unique_ptr<QLayoutItem> owned(item);
        if (item->widget()) item->widget()->deleteLater();
    }
    if (findings.empty())
        column_->addWidget(make<NoticeRow>(NoticeRow::Weight::info,
                                           tr("Watching for skipped steps, a loss that is flat, rises or "
                                              "is zero, exploding gradients and overfitting."),
                                           widget()));
    for (const Finding& finding : findings)
        column_->addWidget(make<NoticeRow>(weight_of(finding.weight), finding.text, widget()));
    column_->addStretch(1);
}

LiveAnswers::LiveAnswers(QWidget* parent) : QWidget(parent) {
    choice_ = make<QComboBox>(this);
    choice_->setAccessibleName(tr("Evaluation"));
    scroll_ = make<QScrollArea>(this);
    scroll_->setWidgetResizable(true);
    scroll_->setFrameShape(QFrame::NoFrame);
    scroll_->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(0, 4, 0, 0);
    column->addWidget(choice_);
    column->addWidget(scroll_, 1);
    connect(choice_, &QComboBox::currentIndexChanged, this, &LiveAnswers::show_evaluation);
    clear();
}

void LiveAnswers::clear() {
    evaluations_.clear();
    choice_->clear();
    choice_->hide();
    auto* words = wrapped_label(
        tr("At each evaluation the model answers a held-out question here, beside the base model's answer."),
        "dim", scroll_);
    words->setAlignment(Qt::AlignTop | Qt::AlignLeft);
    scroll_->setWidget(words);
}

void LiveAnswers::add(const train::Evaluated& evaluation) {
    if (evaluation.samples.empty()) return;
    const bool following = choice_->currentIndex() + 1 == choice_->count();
    evaluations_.push_back(evaluation);
    choice_->show();
    choice_->addItem(
        tr("Step %1 · loss %2").arg(format::count(evaluation.step), format::figure(evaluation.loss)));
    if (following) choice_->setCurrentIndex(choice_->count() - 1);
}

void LiveAnswers::show_evaluation(int index) {
    if (index < 0 || index >= int(evaluations_.size())) return;
    auto* content = make<QWidget>(scroll_);
    auto* column = make<QVBoxLayout>(content);
    column->setContentsMargins(0, 0, 6, 0);
    column->setSpacing(6);
    const auto& evaluation = evaluations_[std::size_t(index)];
    const bool numbers = evaluation.metrics.contains("mean_absolute_error");
    const bool labels =
        numbers || evaluation.metrics.contains("accuracy") || evaluation.metrics.contains("micro_f1");
    for (const auto& sample : evaluation.samples)
        if (labels)
            add_labels(sample, numbers, evaluation.step > 0, *column);
        else
            add_answers(sample, *column);
    column->addStretch(1);
    scroll_->setWidget(content);
}

void LiveAnswers::add_answers(const train::Sample& sample, QVBoxLayout& column) {
    QWidget* content = column.parentWidget();
    column.addWidget(quote(tr("Question"), sample.prompt, "inset", content));
    column.addWidget(quote(tr("Tuned model"), sample.tuned, "card", content));
    column.addWidget(quote(tr("Base model"), sample.base, "card", content));
    column.addWidget(quote(tr("Answer in the data"), sample.expected, "inset", content));
}

// A text, and under it its label and what the models take it for, with a tick or a cross.
void LiveAnswers::add_labels(const train::Sample& sample, bool numbers, bool trained, QVBoxLayout& column) {
    QWidget* content = column.parentWidget();
    column.addWidget(quote(tr("Text"), sample.prompt, "inset", content));
    auto* frame = make<QFrame>(content);
    frame->setProperty("look", "card");
    auto* grid = make<QGridLayout>(frame);
    grid->setContentsMargins(10, 6, 10, 8);
    grid->setVerticalSpacing(4);
    grid->setColumnStretch(2, 1);
    const auto add = [&](const QString& caption, const std::string& label, bool judged) {
        const int row = grid->rowCount();
        const QString words = QString::fromStdString(label).trimmed();
        grid->addWidget(plain_label(caption, "dim", frame), row, 0);
        auto* text = wrapped_label(words.isEmpty() ? tr("(none)") : words, nullptr, frame);
        text->setTextInteractionFlags(Qt::TextSelectableByMouse);
        grid->addWidget(text, row, 2);
        if (!judged) return;
        const bool right = words == QString::fromStdString(sample.expected).trimmed();
        auto* mark = make<QLabel>(frame);
        mark->setPixmap(theme::icon_pixmap(right ? QStringLiteral("check") : QStringLiteral("close"),
                                           right ? theme::current().good : theme::current().bad, 16,
                                           devicePixelRatioF()));
        mark->setAccessibleName(right ? tr("right") : tr("wrong"));
        mark->setToolTip(mark->accessibleName());
        grid->addWidget(mark, row, 1);
    };
    add(tr("In the data"), sample.expected, false);
    if (trained) add(tr("Tuned model"), sample.tuned, !numbers);
    add(tr("Base model"), sample.base, !numbers && !sample.base.empty());
    column.addWidget(frame);
}

}  // namespace qlora::ui
