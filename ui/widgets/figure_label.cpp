#include "ui/widgets/figure_label.h"

#include "ui/theme/theme.h"

namespace qlora::ui {

FigureLabel::FigureLabel(const QString& widest, int pixels, QWidget* parent) : QLabel(parent) {
    setTextFormat(Qt::PlainText);
    const QFont font = theme::figure_font(pixels);
    setFont(font);
    setAlignment(Qt::AlignRight | Qt::AlignVCenter);
    setMinimumWidth(QFontMetrics(font).horizontalAdvance(widest) + 4);
}

}  // namespace qlora::ui
