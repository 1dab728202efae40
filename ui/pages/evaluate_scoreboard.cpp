#include "ui/pages/evaluate_scoreboard.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QListView>
#include <QPushButton>
#include <QStackedWidget>
#include <QVBoxLayout>
#include <cmath>

#include "ui/format/format.h"
#include "ui/models/evaluation_model.h"
#include "ui/models/metric.h"
#include "ui/pages/evaluate_classes.h"
#include "ui/pages/evaluate_contender.h"
#include "ui/pages/evaluate_delegates.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/number_box.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int hint_index = 0, answers_index = 1, classes_index = 2;

QString split_text(const std::string& split) {
    if (split == "test") return EvaluateScoreboard::tr("test rows");
    if (split == "validation") return EvaluateScoreboard::tr("validation rows");
    return QString::fromStdString(split);
}

}  // namespace

EvaluateScoreboard::EvaluateScoreboard(QWidget* parent) : QWidget(parent), model_(make<EvaluationModel>(this)) {
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins({});
    column->setSpacing(theme::grid);

    auto* bar = make<QHBoxLayout>();
    bar->setSpacing(theme::grid);
    note_ = make<ElidedLabel>();
    set_look(note_, "dim");
    bar->addWidget(note_, 1);
    answers_ = make<NumberBox>(NumberBox::Range{0, 200, true, {}});
    answers_->set_value(10);
    answers_->setFixedWidth(72);
    answers_->setAccessibleName(tr("Example answers"));
    answers_->setToolTip(tr("Held-out questions that both models answer. Each takes seconds on a CPU."));
    connect(answers_, &NumberBox::text_edited, this, &EvaluateScoreboard::refresh);
    answers_label_ = plain_label({}, "dim");
    answers_label_->setBuddy(answers_);
    bar->addWidget(answers_label_);
    bar->addWidget(answers_);
    measure_ = make<QPushButton>(tr("Measure"));
    measure_->setProperty("look", "primary");
    connect(measure_, &QPushButton::clicked, this, &EvaluateScoreboard::measure_requested);
    bar->addWidget(measure_);
    column->addLayout(bar);

    auto* figures = make<QHBoxLayout>();
    figures->setSpacing(theme::grid);
    base_ = make<ContenderCard>(tr("Base model"), tr("The model as it was before training, on rows it was not trained on"));
    tuned_ = make<ContenderCard>(tr("Tuned model"), tr("The same model with what the run taught it, on the same rows"));
    against_ = make<ContenderCard>(tr("Tuned against base"), tr("What the run changed"));
    for (ContenderCard* card : {base_, tuned_, against_}) figures->addWidget(card, 1);
    column->addLayout(figures);

    stack_ = make<QStackedWidget>();
    hint_ = wrapped_label({}, "dim");
    hint_->setAlignment(Qt::AlignCenter);
    auto* list = reading_list(tr("Example answers"), make<AnswerDelegate>());
    list->setModel(model_);
    classes_ = make<EvaluateClasses>();
    for (QWidget* view : std::initializer_list<QWidget*>{hint_, list, classes_}) stack_->addWidget(view);
    column->addWidget(stack_, 1);
    set_report({});
}

void EvaluateScoreboard::set_report(const evaluate::Report& report) {
    model_->set_report(report);
    const auto keys = shown_metrics(report);
    const Metric main = metric_of(keys.front());
    const auto* base = model_->contender("base");
    const auto* tuned = model_->contender("tuned");
    for (const auto& [card, contender] : {std::pair(base_, base), std::pair(tuned_, tuned)})
        card->show_contender(contender, keys,
                             !contender             ? tr("not measured yet")
                             : contender->rows == 0 ? tr("validation rows, as the run went")
                                                    : tr("%1 %2 · %3 tokens")
                                                          .arg(format::count(contender->rows), split_text(report.split),
                                                               format::count(contender->tokens)));
    compare(base, tuned, keys.front());
    note_->set_text(tr("%1: %2").arg(main.name, main.help.left(1).toLower() + main.help.mid(1)));
    const bool classifier = report.task == recipe::Task::classification;
    hint_->setText(classifier ? tr("Measure reads the held-out rows with the base and with the tuned model, and counts "
                                   "which classes they say.")
                              : tr("Measure reads the held-out rows with the base and with the tuned model, and lets both "
                                   "answer some of the questions."));
    if (classifier) classes_->set_report(report);
    const bool details = model_->rowCount() > 0 || (classifier && !report.contenders.empty());
    stack_->setCurrentIndex(!details ? hint_index : classifier ? classes_index : answers_index);
    measure_->setText(base && base->rows > 0 ? tr("Measure again") : tr("Measure"));
    answers_label_->setText(classifier ? tr("Example rows") : tr("Example answers"));
    refresh();
}

// Perplexities by their ratio, everything else by its difference.
void EvaluateScoreboard::compare(const evaluate::Contender* base, const evaluate::Contender* tuned, const std::string& key) {
    const Metric shown = metric_of(key);
    const double before = base ? value_of(*base, key) : NAN, after = tuned ? value_of(*tuned, key) : NAN;
    const bool ratio = key == "perplexity";
    const double by = ratio ? (after > 0 ? before / after - 1 : NAN) : shown.more_is_better() ? after - before : before - after;
    const QString caption = ratio ? tr("Base : tuned") : shown.name;
    if (!std::isfinite(by)) {
        against_->show_figure(caption, u"–"_s, tr("not measured yet"), false);
        return;
    }
    const QString better = ratio ? tr("the tuned model is surer of the held-out answers") : tr("better on the held-out rows");
    const QString worse = ratio ? tr("the tuned model got worse on the held-out rows") : tr("worse on the held-out rows");
    against_->show_figure(caption, ratio ? tr("%1×").arg(format::figure(1 + by)) : shown.difference(before, after),
                          by > 0    ? better
                          : by == 0 ? tr("the run made no difference here")
                                    : worse,
                          by < 0);
}

void EvaluateScoreboard::set_blocked(const QString& why_not) {
    blocked_ = why_not;
    refresh();
}

evaluate::ReportOptions EvaluateScoreboard::options() const {
    evaluate::ReportOptions options;
    options.baselines = true;
    options.answers = std::int64_t(answers_->value().value_or(0));
    return options;
}

void EvaluateScoreboard::refresh() {
    const QString why_not = !blocked_.isEmpty()   ? blocked_
                            : !answers_->value() ? tr("The number of answers lies between 0 and 200.")
                                                 : QString();
    measure_->setEnabled(why_not.isEmpty());
    measure_->setToolTip(why_not);
    measure_->setAccessibleDescription(why_not);
}

}  // namespace qlora::ui
