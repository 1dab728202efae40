#include "ui/widgets/rail_button.h"

#include <QPainter>

#include "ui/theme/icons.h"
#include "ui/theme/theme.h"

namespace qlora::ui {

RailButton::RailButton(const QString& icon, const QString& text, QWidget* parent)
    : QAbstractButton(parent), icon_name_(icon) {
    setText(text);
    setAccessibleName(text);
    setCheckable(true);
    setAutoExclusive(true);
    setFocusPolicy(Qt::StrongFocus);
}

void RailButton::set_busy(bool busy) {
    busy_ = busy;
    update();
}

void RailButton::paintEvent(QPaintEvent*) {
    const theme::Tokens& tokens = theme::current();
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    const QRectF area = QRectF(rect()).adjusted(6, 2, -6, -2);
    painter.setPen(hasFocus() ? QPen(tokens.accent, 2) : QPen(Qt::NoPen));
    painter.setBrush(isChecked() ? tokens.tint(tokens.accent, 0.14) : hovered_ ? tokens.hover() : QColor(Qt::transparent));
    painter.drawRoundedRect(area, theme::radius, theme::radius);
    if (isChecked()) {
        painter.setPen(Qt::NoPen);
        painter.setBrush(tokens.accent);
        painter.drawRoundedRect(QRectF(0, area.top() + 8, 3, area.height() - 16), 1.5, 1.5);
    }
    const QColor ink = isChecked() ? tokens.accent : hovered_ ? tokens.text : tokens.dim;
    const QPixmap picture = theme::icon_pixmap(icon_name_, ink, theme::icon_px, devicePixelRatioF());
    painter.drawPixmap(QPoint((width() - theme::icon_px) / 2, 9), picture);
    QFont font = theme::dim_font();
    if (isChecked()) font.setWeight(QFont::DemiBold);
    painter.setFont(font);
    painter.setPen(isChecked() ? tokens.text : ink);
    painter.drawText(rect().adjusted(0, 32, 0, -5), Qt::AlignHCenter | Qt::AlignVCenter, text());
    if (busy_) {
        painter.setPen(QPen(tokens.card, 2));
        painter.setBrush(tokens.good);
        painter.drawEllipse(QPointF(width() / 2 + 12, 12), 4.5, 4.5);
    }
}

void RailButton::enterEvent(QEnterEvent* event) {
    hovered_ = true;
    update();
    QAbstractButton::enterEvent(event);
}

void RailButton::leaveEvent(QEvent* event) {
    hovered_ = false;
    update();
    QAbstractButton::leaveEvent(event);
}

}  // namespace qlora::ui
