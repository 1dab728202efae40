#include "ui/widgets/empty_state.h"

#include <QEvent>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

namespace {
constexpr int text_width = 440;
}

EmptyState::EmptyState(const QString& icon, const QString& title, const QString& sentence, const QString& button,
                       QWidget* parent)
    : QWidget(parent), icon_(icon) {
    picture_ = make<QLabel>(this);
    picture_->setAlignment(Qt::AlignCenter);
    auto* heading = plain_label(title, "card-title", this);
    heading->setAlignment(Qt::AlignCenter);
    auto* text = wrapped_label(sentence, nullptr, this);
    text->setAlignment(Qt::AlignHCenter);
    // A layout that centres a label does not ask it for the height of its lines.
    const QRect room = QFontMetrics(theme::body_font()).boundingRect(0, 0, text_width, 1000, Qt::TextWordWrap, sentence);
    text->setFixedSize(text_width, room.height() + 4);
    auto* column = make<QVBoxLayout>(this);
    column->setSpacing(2 * theme::grid);
    column->addStretch(2);
    column->addWidget(picture_);
    column->addWidget(heading);
    column->addWidget(text, 0, Qt::AlignHCenter);
    if (!button.isEmpty()) {
        button_ = make<QPushButton>(button, this);
        button_->setProperty("look", "primary");
        connect(button_, &QPushButton::clicked, this, &EmptyState::activated);
        column->addWidget(button_, 0, Qt::AlignHCenter);
    }
    column->addStretch(3);
    refresh_icon();
}

void EmptyState::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) refresh_icon();
}

void EmptyState::refresh_icon() {
    picture_->setPixmap(theme::icon_pixmap(icon_, theme::current().dim, 48, devicePixelRatioF()));
}

}  // namespace qlora::ui
