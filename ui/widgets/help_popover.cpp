#include "ui/widgets/help_popover.h"

#include <QVBoxLayout>

#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

HelpPopover* HelpPopover::of(QWidget* anchor) {
    QWidget* window = anchor->window();
    if (auto* known = window->findChild<HelpPopover*>(QString(), Qt::FindDirectChildrenOnly)) return known;
    return std::unique_ptr<HelpPopover>(new HelpPopover(window)).release();
}

HelpPopover::HelpPopover(QWidget* window) : QFrame(window) {
    setProperty("look", "popover");
    setAttribute(Qt::WA_TransparentForMouseEvents);  // it must not take the pointer from the control it explains
    title_ = plain_label({}, "card-title", this);
    text_ = wrapped_label({}, nullptr, this);
    typical_ = wrapped_label({}, "dim", this);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(14, 10, 14, 12);
    column->setSpacing(6);
    for (QLabel* label : {title_, text_, typical_}) column->addWidget(label);
    hide();
}

void HelpPopover::explain(QWidget* anchor, const QString& title, const QString& text, const QString& typical) {
    anchor_ = anchor;
    title_->setText(title);
    text_->setText(text);
    typical_->setText(typical.isEmpty() ? QString() : tr("Typical: %1").arg(typical));
    typical_->setVisible(!typical.isEmpty());
    constexpr int width = 360;
    setFixedWidth(width);
    const int height = layout()->heightForWidth(width);
    const QRect room = parentWidget()->rect().adjusted(8, 8, -8, -8);
    QPoint at = anchor->mapTo(parentWidget(), QPoint(0, anchor->height() + 4));
    if (at.y() + height > room.bottom()) at.setY(anchor->mapTo(parentWidget(), QPoint(0, 0)).y() - height - 4);
    at.setX(std::clamp(at.x(), room.left(), std::max(room.left(), room.right() - width)));
    at.setY(std::max(at.y(), room.top()));
    setGeometry(QRect(at, QSize(width, height)));
    raise();
    show();
}

void HelpPopover::dismiss() {
    anchor_ = nullptr;
    hide();
}

}  // namespace qlora::ui
