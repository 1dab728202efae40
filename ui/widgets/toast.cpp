#include "ui/widgets/toast.h"

#include <QEvent>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QTimer>

#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

Toast::Toast(QWidget* host) : QFrame(host) {
    setProperty("look", "popover");
    text_ = plain_label({}, nullptr, this);
    undo_ = make<QPushButton>(tr("Undo"), this);
    connect(undo_, &QPushButton::clicked, this, [this] {
        settle_action_ = {};
        auto undo = std::move(undo_action_);
        undo_action_ = {};
        hide();
        if (undo) undo();
    });
    auto* row = make<QHBoxLayout>(this);
    row->setContentsMargins(14, 4, 10, 4);
    row->addWidget(text_);
    row->addWidget(undo_);
    timer_ = make<QTimer>(this);
    timer_->setSingleShot(true);
    connect(timer_, &QTimer::timeout, this, &QWidget::hide);
    host->installEventFilter(this);
    hide();
}

void Toast::say(const QString& text) {
    settle();
    text_->setText(text);
    undo_->hide();
    show_for(4000);
}

void Toast::offer_undo(const QString& text, std::function<void()> undo, std::function<void()> settle_action) {
    settle();
    text_->setText(text);
    undo_action_ = std::move(undo);
    settle_action_ = std::move(settle_action);
    undo_->show();
    show_for(8000);
}

void Toast::show_for(int milliseconds) {
    setAccessibleName(text_->text());
    place();
    show();
    raise();
    timer_->start(milliseconds);
}

void Toast::place() {
    adjustSize();
    // Over the empty middle of the top bar, where it hides nothing that one may want to read or press.
    move((parentWidget()->width() - width()) / 2, 4);
}

void Toast::settle() {
    undo_action_ = {};
    auto action = std::move(settle_action_);
    settle_action_ = {};
    if (action) action();
}

bool Toast::eventFilter(QObject* watched, QEvent* event) {
    if (event->type() == QEvent::Resize && isVisible()) place();
    return QFrame::eventFilter(watched, event);
}

void Toast::hideEvent(QHideEvent* event) {
    QFrame::hideEvent(event);
    if (!event->spontaneous()) {
        timer_->stop();
        settle();
    }
}

}  // namespace qlora::ui
