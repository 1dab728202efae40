#include "ui/widgets/elided_label.h"

#include <QEvent>
#include <QStyle>
#include <QTextLayout>

#include "ui/widgets/make.h"

namespace qlora::ui {

ElidedLabel::ElidedLabel(const QString& text, QWidget* parent) : QLabel(parent) {
    setTextFormat(Qt::PlainText);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
    set_text(text);
}

void ElidedLabel::set_text(const QString& text) {
    if (full_ == text) return;
    full_ = text;
    setAccessibleName(text);
    updateGeometry();
    elide();
}

void ElidedLabel::set_elide_mode(Qt::TextElideMode mode) {
    mode_ = mode;
    elide();
}

void ElidedLabel::set_lines(int lines) {
    lines_ = lines;
    setAlignment(Qt::AlignLeft | Qt::AlignTop);
    updateGeometry();
    elide();
}

QSize ElidedLabel::sizeHint() const {
    ensurePolished();
    return {fontMetrics().horizontalAdvance(full_) + 2 * margin() + 2, minimumSizeHint().height()};
}

QSize ElidedLabel::minimumSizeHint() const {
    ensurePolished();
    return {24, lines_ * fontMetrics().lineSpacing() + 1};
}

void ElidedLabel::resizeEvent(QResizeEvent* event) {
    QLabel::resizeEvent(event);
    elide();
}

void ElidedLabel::changeEvent(QEvent* event) {
    QLabel::changeEvent(event);
    if (event->type() == QEvent::FontChange || event->type() == QEvent::StyleChange) elide();
}

void ElidedLabel::elide() {
    const QString line = QString(full_).replace(QLatin1Char('\n'), QLatin1Char(' '));
    const int width = contentsRect().width();
    QStringList shown;
    qsizetype from = 0;
    if (lines_ > 1) {
        QTextLayout layout(line, font());
        layout.beginLayout();
        for (QTextLine part = layout.createLine(); part.isValid() && shown.size() + 1 < lines_; part = layout.createLine()) {
            part.setLineWidth(width);
            shown << line.mid(part.textStart(), part.textLength()).trimmed();
            from = part.textStart() + part.textLength();
        }
        layout.endLayout();
    }
    const QString rest = line.mid(from);
    const QString last = fontMetrics().elidedText(rest, mode_, width);
    if (!last.isEmpty()) shown << last;
    setText(shown.join(QLatin1Char('\n')));
    // A tooltip guesses at markup; escaped, a name stays what it is.
    setToolTip(last == rest ? QString() : QStringLiteral("<p>%1</p>").arg(full_.toHtmlEscaped()));
}

QLabel* plain_label(const QString& text, const char* look, QWidget* parent) {
    auto* label = make<QLabel>(parent);
    label->setTextFormat(Qt::PlainText);
    label->setText(text);
    if (look) label->setProperty("look", look);
    return label;
}

QLabel* wrapped_label(const QString& text, const char* look, QWidget* parent) {
    auto* label = plain_label(text, look, parent);
    label->setWordWrap(true);
    label->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Minimum);
    return label;
}

void set_look(QWidget* widget, const char* look) {
    if (widget->property("look").toByteArray() == look) return;
    widget->setProperty("look", look);
    widget->style()->unpolish(widget);
    widget->style()->polish(widget);
}

}  // namespace qlora::ui
