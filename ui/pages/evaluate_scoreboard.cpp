#include "ui/pages/evaluate_scoreboard.h"

#include <QFrame>
#include <QHBoxLayout>
#include <QLabel>
#include <QListView>
#include <QPushButton>
#include <QStackedWidget>
#include <QVBoxLayout>
#include <cmath>

#include "ui/format/format.h"
#include "ui/models/evaluation_model.h"
#include "ui/pages/evaluate_delegates.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/figure_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/number_box.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int figure_px = 30;

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
    note_ = make<ElidedLabel>(tr("Perplexity: between how many tokens the model wavers, on average. Lower is better."));
    set_look(note_, "dim");
    bar->addWidget(note_, 1);
    answers_ = make<NumberBox>(NumberBox::Range{0, 200, true, {}});
    answers_->set_value(10);
    answers_->setFixedWidth(72);
    answers_->setAccessibleName(tr("Example answers"));
    answers_->setToolTip(tr("Held-out questions that both models answer. Each takes seconds on a CPU."));
    connect(answers_, &NumberBox::text_edited, this, &EvaluateScoreboard::refresh);
    auto* label = plain_label(tr("Example answers"), "dim");
    label->setBuddy(answers_);
    bar->addWidget(label);
    bar->addWidget(answers_);
    measure_ = make<QPushButton>(tr("Measure"));
    measure_->setProperty("look", "primary");
    connect(measure_, &QPushButton::clicked, this, &EvaluateScoreboard::measure_requested);
    bar->addWidget(measure_);
    column->addLayout(bar);

    auto* figures = make<QHBoxLayout>();
    figures->setSpacing(theme::grid);
    base_ = make_figure(tr("Base perplexity"), tr("The model as it was before training, on rows it was not trained on"));
    tuned_ = make_figure(tr("Tuned perplexity"), tr("The same model with the adapter, on the same rows"));
    ratio_ = make_figure(tr("Base : tuned"), tr("Base perplexity divided by tuned perplexity"));
    for (const Figure& figure : {base_, tuned_, ratio_}) figures->addWidget(figure.card, 1);
    column->addLayout(figures);

    stack_ = make<QStackedWidget>();
    auto* hint = wrapped_label(tr("Measure reads the held-out rows with the base and with the tuned model, and lets both "
                                  "answer some of the questions."), "dim");
    hint->setAlignment(Qt::AlignCenter);
    auto* list = reading_list(tr("Example answers"), make<AnswerDelegate>());
    list->setModel(model_);
    stack_->addWidget(hint);
    stack_->addWidget(list);
    column->addWidget(stack_, 1);
    set_report({});
}

EvaluateScoreboard::Figure EvaluateScoreboard::make_figure(const QString& name, const QString& help) {
    auto* card = make<QFrame>();
    card->setProperty("look", "card");
    card->setToolTip(help);
    auto* column = make<QVBoxLayout>(card);
    column->setContentsMargins(14, 10, 14, 10);
    column->setSpacing(2);
    column->addWidget(plain_label(name, "dim"));
    auto* value = make<FigureLabel>(u"8,888"_s, figure_px);
    value->setAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    value->setAccessibleName(name);
    column->addWidget(value);
    auto* detail = make<ElidedLabel>();
    set_look(detail, "dim");
    column->addWidget(detail);
    return {card, value, detail};
}

void EvaluateScoreboard::show_contender(const Figure& figure, const evaluate::Contender* contender) {
    figure.value->setText(contender ? format::figure(contender->perplexity) : u"–"_s);
    figure.detail->set_text(!contender ? tr("not measured yet")
                            : contender->rows == 0
                                ? tr("loss %1 · validation rows, as the run went").arg(format::figure(contender->loss))
                                : tr("loss %1 · %2 %3 · %4 tokens")
                                      .arg(format::figure(contender->loss), format::count(contender->rows),
                                           split_text(model_->report().split), format::count(contender->tokens)));
}

void EvaluateScoreboard::set_report(const evaluate::Report& report) {
    model_->set_report(report);
    const auto* base = model_->contender("base");
    const auto* tuned = model_->contender("tuned");
    show_contender(base_, base);
    show_contender(tuned_, tuned);
    const double ratio = base && tuned && tuned->perplexity > 0 ? base->perplexity / tuned->perplexity : NAN;
    const bool known = std::isfinite(ratio);
    ratio_.value->setText(known ? tr("%1×").arg(format::figure(ratio)) : u"–"_s);
    ratio_.detail->set_text(!known       ? tr("not measured yet")
                            : ratio > 1  ? tr("the tuned model is surer of the held-out answers")
                            : ratio == 1 ? tr("the run made no difference here")
                                         : tr("the tuned model got worse on the held-out rows"));
    set_look(ratio_.detail, known && ratio < 1 ? "bad" : "dim");
    measure_->setText(base && base->rows > 0 ? tr("Measure again") : tr("Measure"));
    stack_->setCurrentIndex(model_->rowCount() > 0);
    refresh();
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
