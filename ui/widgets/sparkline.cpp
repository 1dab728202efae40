#include "ui/widgets/sparkline.h"

#include <QPainter>
#include <QPainterPath>
#include <cmath>

#include "ui/theme/tokens.h"

namespace qlora::ui {

Sparkline::Sparkline(QWidget* parent) : QWidget(parent) {
    setAccessibleName(tr("Loss so far"));
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void Sparkline::set_values(const QList<double>& values) {
    values_ = values;
    update();
}

void Sparkline::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    draw(painter, QRectF(rect()), values_, theme::current().accent);
}

void Sparkline::draw(QPainter& painter, const QRectF& area, const QList<double>& values, const QColor& color) {
    double low = INFINITY, high = -INFINITY;
    for (double value : values) {
        if (!std::isfinite(value)) continue;
        low = std::min(low, value);
        high = std::max(high, value);
    }
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    const QRectF room = area.adjusted(1.5, 2.5, -3.5, -2.5);
    if (!(low <= high)) {
        painter.setPen(QPen(theme::current().line, 1, Qt::DashLine));
        painter.drawLine(QPointF(room.left(), room.center().y()), QPointF(room.right(), room.center().y()));
        painter.restore();
        return;
    }
    const double scale = high > low ? room.height() / (high - low) : 0;
    const double step = values.size() > 1 ? room.width() / double(values.size() - 1) : 0;
    QPainterPath path;
    QPointF last;
    bool down = false;
    for (qsizetype i = 0; i < values.size(); ++i) {
        if (!std::isfinite(values[i])) {
            down = false;
            continue;
        }
        last = {room.left() + step * double(i), scale > 0 ? room.bottom() - (values[i] - low) * scale : room.center().y()};
        if (down) path.lineTo(last);
        else path.moveTo(last);
        down = true;
    }
    painter.setPen(QPen(color, 1.5, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
    painter.drawPath(path);
    painter.setPen(Qt::NoPen);
    painter.setBrush(color);
    painter.drawEllipse(last, 2.2, 2.2);
    painter.restore();
}

}  // namespace qlora::ui
