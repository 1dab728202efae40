#include "ui/widgets/elided_label.h"

#include <QEvent>
#include <QStyle>

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

QSize ElidedLabel::sizeHint() const {
    ensurePolished();
    return {fontMetrics().horizontalAdvance(full_) + 2 * margin() + 2, QLabel::sizeHint().height()};
}

QSize ElidedLabel::minimumSizeHint() const { return {24, QLabel::minimumSizeHint().height()}; }

void ElidedLabel::resizeEvent(QResizeEvent* event) {
    QLabel::resizeEvent(event);
    elide();
}

void ElidedLabel::changeEvent(QEvent* event) {
    QLabel::changeEvent(event);
    if (event->type() == QEvent::FontChange || event->type() == QEvent::StyleChange) elide();
}

void ElidedLabel::elide() {
    const QString shown = fontMetrics().elidedText(QString(full_).replace(QLatin1Char('\n'), QLatin1Char(' ')), mode_,
                                                   contentsRect().width());
    setText(shown);
    // A tooltip guesses at markup; escaped, a name stays what it is.
    setToolTip(shown == full_ ? QString() : QStringLiteral("<p>%1</p>").arg(full_.toHtmlEscaped()));
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
