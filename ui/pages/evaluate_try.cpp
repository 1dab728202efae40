#include "ui/pages/evaluate_try.h"

#include <QFrame>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QListView>
#include <QPainter>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QStackedWidget>
#include <QStyledItemDelegate>
#include <QVBoxLayout>
#include <cmath>

#include "ui/pages/evaluate_delegates.h"
#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr int text_height = 76, line_height = 44, score_width = 76, bar_height = 8;

// A label, its score at the right, and under both a bar as long as it is likely.
class ScoreDelegate : public QStyledItemDelegate {
  public:
    using QStyledItemDelegate::QStyledItemDelegate;

    QSize sizeHint(const QStyleOptionViewItem&, const QModelIndex&) const override { return {120, line_height}; }

    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        const auto& tokens = theme::current();
        const QRect line = option.rect.adjusted(4, 4, -12, -4);
        painter->save();
        painter->setRenderHint(QPainter::Antialiasing);
        if (option.state & QStyle::State_HasFocus) {
            painter->setPen(QPen(tokens.accent, 1));
            painter->drawRoundedRect(QRectF(option.rect).adjusted(0.5, 1.5, -6.5, -1.5), theme::radius, theme::radius);
        }
        QFont name = theme::body_font();
        if (index.row() == 0) name.setWeight(QFont::DemiBold);
        painter->setFont(name);
        painter->setPen(tokens.text);
        painter->drawText(QRect(line.left(), line.top(), line.width() - score_width, 20), Qt::AlignLeft | Qt::AlignVCenter,
                          QFontMetrics(name).elidedText(index.data().toString(), Qt::ElideRight, line.width() - score_width));
        painter->setFont(theme::figure_font());
        painter->drawText(QRect(line.right() - score_width, line.top(), score_width, 20), Qt::AlignRight | Qt::AlignVCenter,
                          index.data(LabelScoresModel::ScoreTextRole).toString());
        const double share = index.data(LabelScoresModel::ShareRole).toDouble();
        if (std::isfinite(share)) {
            const QRectF whole(line.left(), line.top() + 23, line.width(), bar_height);
            painter->setPen(Qt::NoPen);
            painter->setBrush(tokens.line);
            painter->drawRoundedRect(whole, bar_height / 2, bar_height / 2);
            painter->setBrush(tokens.accent);
            QRectF part = whole;
            part.setWidth(std::max(share * whole.width(), share > 0 ? 2.0 : 0.0));
            painter->drawRoundedRect(part, bar_height / 2, bar_height / 2);
        }
        painter->restore();
    }
};

}  // namespace

EvaluateTry::EvaluateTry(ChatService& service, QWidget* parent) : QWidget(parent), service_(service) {
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins({});
    column->setSpacing(theme::grid);
    column->addWidget(make_input());
    auto* panes = make<QHBoxLayout>();
    panes->setSpacing(theme::grid);
    for (const Side side : {Side::base, Side::tuned}) panes->addWidget(make_pane(side), 1);
    column->addLayout(panes, 1);
    connect(&service_, &ChatService::answered, this, &EvaluateTry::take);
    connect(&service_, &ChatService::chat_ended, this, &EvaluateTry::end);
    set_run({});
}

QWidget* EvaluateTry::make_input() {
    auto* bar = make<QWidget>();
    auto* row = make<QHBoxLayout>(bar);
    row->setContentsMargins({});
    row->setSpacing(theme::grid);
    text_ = make<QPlainTextEdit>();
    text_->setFixedHeight(text_height);
    text_->setPlaceholderText(tr("A text to classify. Enter sends it, Shift+Enter breaks the line."));
    text_->setAccessibleName(tr("Text to classify"));
    text_->setTabChangesFocus(true);
    text_->installEventFilter(this);
    connect(text_, &QPlainTextEdit::textChanged, this, &EvaluateTry::refresh);
    row->addWidget(text_, 1);
    send_ = make<QPushButton>();
    send_->setMinimumWidth(104);
    connect(send_, &QPushButton::clicked, this, [this] {
        if (answering_)
            service_.stop_chat();
        else
            ask(text_->toPlainText().trimmed());
    });
    row->addWidget(send_, 0, Qt::AlignVCenter);
    return bar;
}

QWidget* EvaluateTry::make_pane(Side side) {
    Pane& pane = this->pane(side);
    auto* frame = make<QFrame>();
    frame->setProperty("look", "card");
    auto* column = make<QVBoxLayout>(frame);
    column->setContentsMargins(14, 10, 6, 8);
    column->setSpacing(theme::half_grid);
    pane.name = make<ElidedLabel>(side == Side::base ? tr("Base model") : tr("Tuned"));
    set_look(pane.name, "card-title");
    column->addWidget(pane.name);
    pane.hint = wrapped_label({}, "dim");
    pane.hint->setAlignment(Qt::AlignCenter);
    auto* list = reading_list(side == Side::base ? tr("What the base model says") : tr("What the tuned model says"),
                              make<ScoreDelegate>());
    list->setModel(&pane.model);
    pane.stack = make<QStackedWidget>();
    pane.stack->addWidget(pane.hint);
    pane.stack->addWidget(list);
    column->addWidget(pane.stack, 1);
    return frame;
}

bool EvaluateTry::eventFilter(QObject* watched, QEvent* event) {
    if (watched == text_ && event->type() == QEvent::KeyPress) {
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

void EvaluateTry::ask(const QString& text) {
    if (text.isEmpty() || answering_ || !blocked_.isEmpty()) return;
    for (const Side side : {Side::base, Side::tuned}) say(side, tr("Reading…"));
    answering_ = true;
    refresh();
    emit answering_changed(true);
    const std::vector<evaluate::Message> messages{{"user", text.toStdString()}};
    service_.ask(messages, messages, {});
}

void EvaluateTry::take(Side side, const evaluate::GenerateResult& result) {
    if (!answering_) return;
    pane(side).model.set_scores(result.labels, values_);
    pane(side).stack->setCurrentIndex(1);
}

void EvaluateTry::say(Side side, const QString& hint) {
    pane(side).model.set_scores({}, values_);
    pane(side).hint->setText(hint);
    pane(side).stack->setCurrentIndex(0);
}

void EvaluateTry::end() {
    if (!answering_) return;
    answering_ = false;
    for (const Side side : {Side::base, Side::tuned})
        if (pane(side).stack->currentIndex() == 0) say(side, tr("No answer."));
    refresh();
    emit answering_changed(false);
}

void EvaluateTry::set_run(const QString& name) {
    end();
    tuned_.name->set_text(name.isEmpty() ? tr("Tuned") : tr("Tuned: %1").arg(name));
    say(Side::base, tr("What the model made of the text before training stands here."));
    say(Side::tuned, tr("What the same model makes of it with what your run taught it stands here."));
    refresh();
}

void EvaluateTry::set_blocked(const QString& why_not) {
    blocked_ = why_not;
    refresh();
}

void EvaluateTry::refresh() {
    QString why_not = blocked_;
    if (why_not.isEmpty() && text_->toPlainText().trimmed().isEmpty()) why_not = tr("Type a text first.");
    send_->setText(answering_ ? tr("Stop") : tr("Classify"));
    send_->setIcon(answering_ ? theme::icon(u"stop"_s) : QIcon());
    send_->setEnabled(answering_ || why_not.isEmpty());
    send_->setToolTip(answering_ ? tr("Stop (Esc)") : why_not);
    set_look(send_, answering_ ? "" : "primary");
}

}  // namespace qlora::ui
