#include "ui/charts/legend.h"

#include <QPainter>

#include "ui/theme/theme.h"

namespace qlora::ui {

namespace {
constexpr int sample_width = 18, gap = 6, entry_gap = 14;
}

ChartLegend::ChartLegend(const QString& title, QWidget* parent) : QWidget(parent), title_(title) {
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void ChartLegend::set_entries(std::vector<Entry> entries) {
    entries_ = std::move(entries);
    update();
}

void ChartLegend::set_position(const QString& position) {
    if (position == position_) return;
    position_ = position;
    update();
}

void ChartLegend::paintEvent(QPaintEvent*) {
    const theme::Tokens& tokens = theme::current();
    QPainter painter(this);
    QFont heading = theme::body_font();
    heading.setWeight(QFont::DemiBold);
    painter.setFont(heading);
    painter.setPen(tokens.text);
    painter.drawText(rect(), Qt::AlignLeft | Qt::AlignVCenter, title_);
    int left = QFontMetrics(heading).horizontalAdvance(title_) + entry_gap;

    const QFont figures = theme::figure_font(theme::dim_px);
    const QFontMetrics metrics(figures);
    painter.setFont(figures);
    if (!position_.isEmpty()) {
        painter.setPen(tokens.dim);
        painter.drawText(QRect(left, 0, width(), height()), Qt::AlignLeft | Qt::AlignVCenter, position_);
        left += metrics.horizontalAdvance(position_) + entry_gap;
    }
    // From the right, so that a growing name on the left never moves a figure; what has no room is left out whole.
    const int value_width = metrics.horizontalAdvance(QStringLiteral("8,888.8"));
    int right = width();
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
        const int reserved = std::max(value_width, metrics.horizontalAdvance(entry->value));
        const int room = sample_width + gap + metrics.horizontalAdvance(entry->name) + gap + reserved;
        if (right - room < left) break;
        int x = right - room;
        const int middle = height() / 2;
        if (entry->fill) {
            painter.setBrushOrigin(x, middle - 6);
            painter.fillRect(QRect(x + 3, middle - 6, 12, 12), *entry->fill);
        } else {
            painter.setRenderHint(QPainter::Antialiasing);
            painter.setPen(entry->pen);
            painter.drawLine(QPointF(x, middle + 0.5), QPointF(x + sample_width, middle + 0.5));
            if (entry->markers) {
                painter.setBrush(entry->pen.color());
                painter.drawEllipse(QPointF(x + sample_width / 2.0, middle + 0.5), 2.5, 2.5);
            }
        }
        x += sample_width + gap;
        painter.setPen(tokens.dim);
        painter.drawText(QRect(x, 0, right - x, height()), Qt::AlignLeft | Qt::AlignVCenter, entry->name);
        painter.setPen(tokens.text);
        painter.drawText(QRect(right - reserved, 0, reserved, height()), Qt::AlignRight | Qt::AlignVCenter, entry->value);
        right -= room + entry_gap;
    }
}

}  // namespace qlora::ui
