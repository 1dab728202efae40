#include "ui/charts/legend.h"

#include <QPainter>

#include "ui/theme/theme.h"

namespace qlora::ui {

namespace {
constexpr int sample_width = 18, gap = 6, entry_gap = 14, title_height = 24, row_height = 17;
}

ChartLegend::ChartLegend(const QString& title, QWidget* parent) : QWidget(parent), title_(title) {
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void ChartLegend::set_entries(std::vector<Entry> entries) {
    entries_ = std::move(entries);
    const QFontMetrics metrics(theme::figure_font(theme::dim_px));
    widest_value_ = std::max(widest_value_, metrics.horizontalAdvance(QStringLiteral("8,888")));
    for (const Entry& entry : entries_) widest_value_ = std::max(widest_value_, metrics.horizontalAdvance(entry.value));
    arrange();
    update();
}

void ChartLegend::set_position(const QString& position) {
    if (position == position_) return;
    position_ = position;
    update();
}

void ChartLegend::resizeEvent(QResizeEvent* event) {
    QWidget::resizeEvent(event);
    arrange();
}

int ChartLegend::room_of(const Entry& entry) const {
    const QFontMetrics metrics(theme::figure_font(theme::dim_px));
    if (entry.name.isEmpty()) return widest_value_;
    return sample_width + 2 * gap + metrics.horizontalAdvance(entry.name) + widest_value_;
}

// Beside the title where they fit, else in even columns below it.
void ChartLegend::arrange() {
    int sum = 0, widest = 0;
    for (const Entry& entry : entries_) {
        sum += room_of(entry) + entry_gap;
        widest = std::max(widest, room_of(entry));
    }
    const int title = QFontMetrics(theme::card_title_font()).horizontalAdvance(title_) + entry_gap;
    const bool beside = title + sum <= width();
    const int fitting = std::max(1, (width() + entry_gap) / std::max(1, widest + entry_gap));
    columns_ = beside ? 0 : std::min(fitting, 4);
    const int rows = columns_ == 0 ? 0 : (int(entries_.size()) + columns_ - 1) / columns_;
    setFixedHeight(title_height + rows * row_height);
}

void ChartLegend::paintEvent(QPaintEvent*) {
    const theme::Tokens& tokens = theme::current();
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    QFont heading = theme::body_font();
    heading.setWeight(QFont::DemiBold);
    painter.setFont(heading);
    painter.setPen(tokens.text);
    const QRect top(0, 0, width(), title_height);
    painter.drawText(top, Qt::AlignLeft | Qt::AlignVCenter, title_);
    painter.setFont(theme::figure_font(theme::dim_px));
    painter.setPen(tokens.dim);
    const int left = QFontMetrics(heading).horizontalAdvance(title_) + entry_gap;
    painter.drawText(top.adjusted(left, 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter, position_);
    if (columns_ == 0) {
        // From the right, so that a growing name on the left never moves a figure.
        int right = width();
        for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
            const int room = room_of(*entry);
            draw(painter, *entry, QRect(right - room, 0, room, title_height));
            right -= room + entry_gap;
        }
        return;
    }
    const int cell = (width() + entry_gap) / columns_ - entry_gap;
    for (int i = 0; i < int(entries_.size()); ++i)
        draw(painter, entries_[std::size_t(i)],
             QRect(i % columns_ * (cell + entry_gap), title_height + i / columns_ * row_height, cell, row_height));
}

void ChartLegend::draw(QPainter& painter, const Entry& entry, const QRect& area) const {
    const theme::Tokens& tokens = theme::current();
    const int middle = area.center().y();
    if (entry.fill) {
        painter.setBrushOrigin(area.left(), middle - 6);
        painter.fillRect(QRect(area.left() + 3, middle - 5, 12, 12), *entry.fill);
    } else if (!entry.name.isEmpty()) {
        painter.setPen(entry.pen);
        painter.drawLine(QPointF(area.left(), middle + 0.5), QPointF(area.left() + sample_width, middle + 0.5));
        if (entry.markers) {
            painter.setBrush(entry.pen.color());
            painter.drawEllipse(QPointF(area.left() + sample_width / 2.0, middle + 0.5), 2.5, 2.5);
        }
    }
    const int name = entry.name.isEmpty() ? 0 : sample_width + gap;
    painter.setPen(tokens.dim);
    painter.drawText(area.adjusted(name, 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter, entry.name);
    painter.setPen(tokens.text);
    painter.drawText(area, Qt::AlignRight | Qt::AlignVCenter, entry.value);
}

}  // namespace qlora::ui
