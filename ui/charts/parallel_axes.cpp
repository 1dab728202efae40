#include "ui/charts/parallel_axes.h"

#include <QEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QPainterPath>
#include <QToolTip>
#include <cmath>

#include "ui/theme/theme.h"

namespace qlora::ui {

namespace {

constexpr double reach = 8;          // px around a line that count as on it
constexpr int head = 26, foot = 14;  // room for the axes' names, and below

// From a point to the piece of a line between two others.
double distance(const QPointF& p, const QPointF& a, const QPointF& b) {
    const QPointF along = b - a, from = p - a;
    const double length = QPointF::dotProduct(along, along);
    const double part = length > 0 ? std::clamp(QPointF::dotProduct(from, along) / length, 0.0, 1.0) : 0;
    const QPointF off = from - part * along;
    return std::sqrt(QPointF::dotProduct(off, off));
}

}  // namespace

ParallelAxes::ParallelAxes(QWidget* parent) : QWidget(parent) {
    setMouseTracking(true);
    setAccessibleName(tr("The runs over their settings"));
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
}

void ParallelAxes::set(std::vector<TrialAxis> axes, std::vector<Line> lines) {
    axes_ = std::move(axes);
    lines_ = std::move(lines);
    if (selected_ >= int(lines_.size())) selected_ = -1;
    if (hovered_ >= int(lines_.size())) hovered_ = -1;
    update();
}

void ParallelAxes::set_selected(int line) {
    selected_ = line < int(lines_.size()) ? line : -1;
    setAccessibleDescription(selected_ >= 0 ? lines_[std::size_t(selected_)].text : QString());
    update();
}

QRectF ParallelAxes::area() const {
    const double side = std::max(48.0, width() / (2.0 * std::max<std::size_t>(1, axes_.size()) + 1));
    return QRectF(rect()).adjusted(std::min(side, 90.0), head, -std::min(side, 90.0), -foot);
}

double ParallelAxes::x_of(int axis) const {
    const QRectF place = area();
    return axes_.size() < 2 ? place.center().x() : place.left() + place.width() * axis / double(axes_.size() - 1);
}

QPointF ParallelAxes::point_of(int line, int axis) const {
    const double place = lines_[std::size_t(line)].places[std::size_t(axis)];
    const QRectF rect = area();
    return {x_of(axis), rect.bottom() - place * rect.height()};
}

int ParallelAxes::line_at(const QPointF& point) const {
    double nearest = reach;
    int found = -1;
    for (int line = 0; line < int(lines_.size()); ++line)
        for (int axis = 0; axis + 1 < int(axes_.size()); ++axis) {
            const double off = distance(point, point_of(line, axis), point_of(line, axis + 1));
            if (off < nearest) nearest = off, found = line;  // NaN is never nearer
        }
    return found;
}

void ParallelAxes::paintEvent(QPaintEvent*) {
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    for (int pass = 0; pass < 3; ++pass)  // what matters lies above the rest
        for (int line = 0; line < int(lines_.size()); ++line) {
            const bool marked = line == selected_ || line == hovered_;
            const int layer = marked ? 2 : lines_[std::size_t(line)].best ? 1 : 0;
            if (layer == pass) paint_line(painter, line);
        }
    paint_axes(painter);
}

void ParallelAxes::paint_line(QPainter& painter, int line) const {
    const theme::Tokens& tokens = theme::current();
    const Line& shown = lines_[std::size_t(line)];
    const bool marked = line == selected_ || line == hovered_;
    QColor color = marked ? tokens.accent : shown.best ? tokens.tag(MemoryTag::adapters) : tokens.dim;
    if (!marked && !shown.best) color.setAlphaF(selected_ >= 0 || hovered_ >= 0 ? 0.35f : 0.6f);
    painter.setPen(QPen(color, marked || shown.best ? 2.6 : 1.3, shown.baseline ? Qt::DashLine : Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
    painter.setBrush(Qt::NoBrush);
    QPainterPath path;
    bool begun = false;
    for (int axis = 0; axis < int(axes_.size()); ++axis) {
        const QPointF at = point_of(line, axis);
        if (std::isnan(at.y())) {
            begun = false;
            continue;
        }
        begun ? path.lineTo(at) : path.moveTo(at);
        begun = true;
    }
    painter.drawPath(path);
    if (!marked && !shown.best) return;
    painter.setPen(Qt::NoPen);
    painter.setBrush(color);
    for (int axis = 0; axis < int(axes_.size()); ++axis)
        if (const QPointF at = point_of(line, axis); !std::isnan(at.y())) painter.drawEllipse(at, 3.5, 3.5);
    painter.setPen(color);
    painter.setFont(theme::dim_font());
    const QPointF end = point_of(line, int(axes_.size()) - 1);
    if (shown.best && !std::isnan(end.y())) painter.drawText(QRectF(end.x() + 8, end.y() - 9, width() - end.x() - 10, 18), Qt::AlignLeft | Qt::AlignVCenter, tr("best"));
}

void ParallelAxes::paint_axes(QPainter& painter) const {
    const theme::Tokens& tokens = theme::current();
    const QRectF place = area();
    const double between = axes_.size() > 1 ? place.width() / double(axes_.size() - 1) : place.width();
    for (int axis = 0; axis < int(axes_.size()); ++axis) {
        const double x = x_of(axis);
        const bool last = axis + 1 == int(axes_.size());
        painter.setPen(QPen(last ? tokens.text : tokens.control_line(), last ? 1.6 : 1));
        painter.drawLine(QPointF(x, place.top()), QPointF(x, place.bottom()));
        painter.setPen(tokens.text);
        painter.setFont(theme::dim_font());
        const double room = std::max(60.0, between - 6);
        QRectF heading(x - room / 2, 0, room, head - 8);
        heading.moveLeft(std::clamp(heading.left(), 0.0, std::max(0.0, width() - room)));
        painter.drawText(heading, Qt::AlignCenter, painter.fontMetrics().elidedText(axes_[std::size_t(axis)].name, Qt::ElideRight, int(room)));
        painter.setFont(theme::figure_font(11));
        for (const auto& tick : axes_[std::size_t(axis)].ticks()) {
            const double y = place.bottom() - tick.at * place.height();
            painter.setPen(tokens.dim);
            painter.drawLine(QPointF(x - 3, y), QPointF(x + 3, y));
            const double width = std::min(std::max(44.0, between / 2), axis == 0 ? x - 8 : 1e9);
            const QString text = painter.fontMetrics().elidedText(tick.text, Qt::ElideRight, int(width));
            const QRectF box(x - 6 - painter.fontMetrics().horizontalAdvance(text) - 4, y - 8, painter.fontMetrics().horizontalAdvance(text) + 4, 16);
            // Readable where lines cross it.
            QColor under = tokens.card;
            under.setAlphaF(0.8f);
            painter.fillRect(box, under);
            painter.drawText(box, Qt::AlignCenter, text);
        }
    }
}

void ParallelAxes::hover(int line) {
    if (line == hovered_) return;
    hovered_ = line;
    update();
    emit hovered(line);
}

void ParallelAxes::mouseMoveEvent(QMouseEvent* event) {
    hover(line_at(event->position()));
    if (hovered_ >= 0) QToolTip::showText(event->globalPosition().toPoint(), lines_[std::size_t(hovered_)].text, this);
    else QToolTip::hideText();
}

void ParallelAxes::mousePressEvent(QMouseEvent* event) {
    if (event->button() != Qt::LeftButton) return;
    if (const int line = line_at(event->position()); line >= 0) emit clicked(line);
}

void ParallelAxes::leaveEvent(QEvent* event) {
    QWidget::leaveEvent(event);
    hover(-1);
}

void ParallelAxes::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) update();
}

}  // namespace qlora::ui
