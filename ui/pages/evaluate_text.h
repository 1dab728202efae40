#pragma once
// Plain text over several lines for delegates: wrapped at words, inside a word where one is too long for a line.

#include <QColor>
#include <QFont>
#include <QRect>
#include <QString>

class QPainter;

namespace qlora::ui {

int wrapped_height(const QString& text, const QFont& font, int width);
void draw_wrapped(QPainter& painter, const QRect& rect, const QString& text, const QFont& font, const QColor& color);

}  // namespace qlora::ui
