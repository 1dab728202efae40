#include "ui/pages/evaluate_chat.h"

#include <QEvent>
#include <QFrame>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QListView>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollBar>
#include <QStackedWidget>
#include <QVBoxLayout>

#include "ui/pages/evaluate_delegates.h"
#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"
#include "ui/widgets/number_box.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int prompt_height = 58;

}  // namespace

EvaluateChat::EvaluateChat(ChatService& service, QWidget* parent)
    : QWidget(parent), service_(service), base_(tr("Base model")), tuned_(tr("Tuned model")) {
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins({});
    column->setSpacing(theme::grid);
    column->addWidget(make_controls());
    auto* panes = make<QHBoxLayout>();
    panes->setSpacing(theme::grid);
    panes->addWidget(make_pane(Side::base), 1);
    panes->addWidget(make_pane(Side::tuned), 1);
    column->addLayout(panes, 1);
    column->addWidget(make_input());

    connect(&service_, &ChatService::piece, this, [this](Side side, const QString& text) { model(side).append(text); });
    connect(&service_, &ChatService::answered, this,
            [this](Side side, const evaluate::GenerateResult& result) { model(side).finish(result); });
    connect(&service_, &ChatService::chat_failed, this, [this](const Error& error) {
        const QString message = QString::fromStdString(error.message());
        base_.fail(message);
        tuned_.fail(message);
    });
    connect(&service_, &ChatService::chat_ended, this, &EvaluateChat::end);
    refresh();
}

QWidget* EvaluateChat::make_controls() {
    auto* bar = make<QWidget>();
    auto* row = make<QHBoxLayout>(bar);
    row->setContentsMargins({});
    row->setSpacing(theme::grid);
    const auto add = [&](const QString& name, const QString& help, NumberBox::Range range, double value, int width) {
        auto* box = make<NumberBox>(range);
        box->set_value(value);
        box->setFixedWidth(width);
        box->setAccessibleName(name);
        box->setAccessibleDescription(help);
        box->setToolTip(u"<p>%1</p>"_s.arg(help.toHtmlEscaped()));
        connect(box, &NumberBox::text_edited, this, &EvaluateChat::refresh);
        auto* label = plain_label(name, "dim");
        label->setBuddy(box);
        row->addWidget(label);
        row->addWidget(box);
        row->addSpacing(theme::grid);
        return box;
    };
    temperature_ = add(tr("Temperature"),
                       tr("0 always takes the likeliest token, the fair way to compare. 0.7 varies; above 1.2 rambles."),
                       {0, 2, false, {}}, 0, 72);
    top_p_ = add(tr("Top-p"), tr("Only the likeliest tokens that together have this probability are drawn from. 1: all."),
                 {0.01, 1, false, {}}, 1, 72);
    max_tokens_ = add(tr("Longest answer"), tr("Tokens after which an answer is cut."), {1, 4096, true, {}}, 128, 80);
    seed_ = add(tr("Seed"), tr("The same seed gives the same answers. Without effect at temperature 0."),
                {0, 4294967295.0, true, {}}, 0, 80);
    row->addStretch();
    clear_ = make<QPushButton>(tr("Start anew"));
    clear_->setProperty("look", "quiet");
    clear_->setIcon(theme::icon(u"refresh"_s));
    connect(clear_, &QPushButton::clicked, this, &EvaluateChat::clear);
    row->addWidget(clear_);
    return bar;
}

QWidget* EvaluateChat::make_pane(Side side) {
    auto* frame = make<QFrame>();
    frame->setProperty("look", "card");
    auto* column = make<QVBoxLayout>(frame);
    column->setContentsMargins(12, 10, 4, 6);
    column->setSpacing(theme::half_grid);
    auto* name = make<ElidedLabel>(side == Side::base ? tr("Base model") : tr("Tuned"));
    set_look(name, "card-title");
    if (side == Side::tuned) tuned_name_ = name;
    column->addWidget(name);

    auto* stack = make<QStackedWidget>();
    auto* hint = wrapped_label(side == Side::base ? tr("The model as it was before training answers here.")
                                                  : tr("The same model with what your run taught it answers here."),
                               "dim");
    hint->setAlignment(Qt::AlignCenter);
    auto* list = reading_list(side == Side::base ? tr("Conversation with the base model")
                                                 : tr("Conversation with the tuned model"),
                              make<ChatDelegate>());
    list->setSelectionMode(QAbstractItemView::NoSelection);
    list->setModel(&model(side));
    stack->addWidget(hint);
    stack->addWidget(list);
    column->addWidget(stack, 1);
    follow(list);
    const auto show = [this, stack, side] { stack->setCurrentIndex(model(side).rowCount() > 0); };
    connect(&model(side), &QAbstractItemModel::rowsInserted, stack, show);
    connect(&model(side), &QAbstractItemModel::rowsRemoved, stack, show);
    return frame;
}

// The end stays in sight while text comes, unless the reader has scrolled away from it.
void EvaluateChat::follow(QListView* list) {
    auto* bar = list->verticalScrollBar();
    connect(bar, &QScrollBar::rangeChanged, bar, [bar, last = 0](int, int most) mutable {
        if (bar->value() >= last) bar->setValue(most);
        last = most;
    });
}

QWidget* EvaluateChat::make_input() {
    auto* bar = make<QWidget>();
    auto* row = make<QHBoxLayout>(bar);
    row->setContentsMargins({});
    row->setSpacing(theme::grid);
    prompt_ = make<QPlainTextEdit>();
    prompt_->setFixedHeight(prompt_height);
    prompt_->setPlaceholderText(tr("Ask both the same question. Enter sends, Shift+Enter breaks the line."));
    prompt_->setAccessibleName(tr("Prompt"));
    prompt_->setTabChangesFocus(true);
    prompt_->installEventFilter(this);
    connect(prompt_, &QPlainTextEdit::textChanged, this, &EvaluateChat::refresh);
    row->addWidget(prompt_, 1);
    send_ = make<QPushButton>();
    send_->setMinimumWidth(104);
    connect(send_, &QPushButton::clicked, this, [this] {
        if (answering_)
            service_.stop_chat();
        else
            ask(prompt_->toPlainText().trimmed());
    });
    row->addWidget(send_, 0, Qt::AlignVCenter);
    return bar;
}

bool EvaluateChat::eventFilter(QObject* watched, QEvent* event) {
    if (watched == prompt_ && event->type() == QEvent::KeyPress) {
        const auto* key = static_cast<QKeyEvent*>(event);
        const bool enter = key->key() == Qt::Key_Return || key->key() == Qt::Key_Enter;
        if (enter && !(key->modifiers() & Qt::ShiftModifier)) {
            if (!answering_ && send_->isEnabled()) send_->click();
            return true;
        }
        if (key->key() == Qt::Key_Escape && answering_) {
            service_.stop_chat();
            return true;
        }
    }
    return QWidget::eventFilter(watched, event);
}

void EvaluateChat::ask(const QString& prompt) {
    if (prompt.isEmpty() || answering_ || !blocked_.isEmpty()) return;
    evaluate::GenerateOptions options;
    options.temperature = temperature_->value().value_or(0);
    options.top_p = top_p_->value().value_or(1);
    options.max_tokens = std::int64_t(max_tokens_->value().value_or(128));
    options.seed = std::uint64_t(seed_->value().value_or(0));
    base_.ask(prompt);
    tuned_.ask(prompt);
    prompt_->clear();
    answering_ = true;
    refresh();
    emit answering_changed(true);
    service_.ask(base_.history(), tuned_.history(), options);
}

void EvaluateChat::end() {
    base_.stop();
    tuned_.stop();
    if (!answering_) return;
    answering_ = false;
    refresh();
    emit answering_changed(false);
}

void EvaluateChat::clear() {
    if (answering_) return;
    base_.clear();
    tuned_.clear();
    refresh();
    prompt_->setFocus();
}

void EvaluateChat::set_run(const QString& name) {
    end();
    base_.clear();
    tuned_.clear();
    tuned_name_->set_text(name.isEmpty() ? tr("Tuned") : tr("Tuned: %1").arg(name));
    refresh();
}

void EvaluateChat::set_blocked(const QString& why_not) {
    blocked_ = why_not;
    refresh();
}

void EvaluateChat::refresh() {
    QString why_not = blocked_;
    for (const NumberBox* box : {temperature_, top_p_, max_tokens_, seed_})
        if (why_not.isEmpty() && !box->value()) why_not = tr("%1 is no valid number.").arg(box->accessibleName());
    if (why_not.isEmpty() && prompt_->toPlainText().trimmed().isEmpty()) why_not = tr("Type a question first.");
    send_->setText(answering_ ? tr("Stop") : tr("Send"));
    send_->setIcon(answering_ ? theme::icon(u"stop"_s) : theme::icon(u"chat"_s, theme::Ink::on_accent));
    if (!answering_ && !why_not.isEmpty()) send_->setIcon(theme::icon(u"chat"_s));
    send_->setEnabled(answering_ || why_not.isEmpty());
    send_->setToolTip(answering_ ? tr("Stop answering (Esc)") : why_not);
    set_look(send_, answering_ ? "" : "primary");
    clear_->setEnabled(!answering_ && base_.rowCount() > 0);
    clear_->setToolTip(clear_->isEnabled() ? QString()
                       : answering_        ? tr("The models are answering.")
                                           : tr("There is no conversation yet."));
}

}  // namespace qlora::ui
