#include "ui/pages/evaluate_text.h"

#include <QFontMetrics>
#include <QPainter>
#include <QTextLayout>
#include <algorithm>
#include <cmath>

namespace qlora::ui {

namespace {

qreal lay_out(QTextLayout& layout, int width) {
    QTextOption option;
    option.setWrapMode(QTextOption::WrapAtWordBoundaryOrAnywhere);
    layout.setTextOption(option);
    layout.setCacheEnabled(true);
    qreal y = 0;
    layout.beginLayout();
    for (QTextLine line = layout.createLine(); line.isValid(); line = layout.createLine()) {
        line.setLineWidth(std::max(width, 1));
        line.setPosition({0, y});
        y += line.height();
    }
    layout.endLayout();
    return y;
}

QString lines(const QString& text) { return QString(text).replace(u'\n', QChar::LineSeparator); }

}  // namespace

int wrapped_height(const QString& text, const QFont& font, int width) {
    QTextLayout layout(lines(text), font);
    return std::max(int(std::ceil(lay_out(layout, width))), QFontMetrics(font).height());
}

void draw_wrapped(QPainter& painter, const QRect& rect, const QString& text, const QFont& font, const QColor& color) {
    QTextLayout layout(lines(text), font);
    lay_out(layout, rect.width());
    painter.setPen(color);
    layout.draw(&painter, rect.topLeft());
}

}  // namespace qlora::ui
