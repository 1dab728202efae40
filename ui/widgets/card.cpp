#include "ui/widgets/card.h"

#include <QEvent>
#include <QHBoxLayout>
#include <QMouseEvent>
#include <QPropertyAnimation>
#include <QToolButton>

#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

Card::Card(const QString& name, const QString& title, const QString& icon, Folding folding, QWidget* parent)
    : QFrame(parent), icon_(icon) {
    setObjectName(name);
    setProperty("look", "card");
    setAccessibleName(title);

    heading_ = make<QWidget>(this);
    icon_label_ = make<QLabel>(heading_);
    title_ = plain_label(title, "card-title", heading_);
    title_->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Preferred);
    summary_ = make<ElidedLabel>(QString(), heading_);
    summary_->setProperty("look", "dim");
    summary_->setAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    auto* row = make<QHBoxLayout>(heading_);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(theme::grid);
    row->addWidget(icon_label_);
    row->addWidget(title_);
    row->addSpacing(theme::half_grid);
    row->addWidget(summary_, 1);
    actions_ = make<QHBoxLayout>();
    actions_->setSpacing(theme::half_grid);
    row->addLayout(actions_);
    if (folding == Folding::foldable) {
        fold_button_ = make<QToolButton>(heading_);
        fold_button_->setIconSize({16, 16});
        fold_button_->setAccessibleName(tr("Fold %1").arg(title));
        connect(fold_button_, &QToolButton::clicked, this, [this] { set_unfolded(!unfolded_); });
        row->addWidget(fold_button_);
        heading_->installEventFilter(this);
        heading_->setCursor(Qt::PointingHandCursor);
    }

    body_ = make<QWidget>(this);
    body_layout_ = make<QVBoxLayout>(body_);
    body_layout_->setContentsMargins(0, theme::grid, 0, 0);
    body_layout_->setSpacing(theme::grid);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(14, 10, 14, 12);
    column->setSpacing(0);
    column->addWidget(heading_);
    column->addWidget(body_);

    animation_ = make<QPropertyAnimation>(this, "body_height", this);
    connect(animation_, &QPropertyAnimation::finished, this, [this] {
        body_->setMaximumHeight(QWIDGETSIZE_MAX);
        body_->setVisible(unfolded_);
    });
    refresh_icon();
}

void Card::set_title(const QString& title) {
    title_->setText(title);
    setAccessibleName(title);
}

void Card::set_summary(const QString& summary) { summary_->set_text(summary); }

void Card::add_action(QWidget* action) { actions_->addWidget(action); }

void Card::set_unfolded(bool unfolded, bool animate) {
    if (unfolded == unfolded_) return;
    unfolded_ = unfolded;
    refresh_icon();
    const int duration = animate && isVisible() ? theme::motion_ms() : 0;
    animation_->stop();
    if (duration == 0) {
        body_->setMaximumHeight(QWIDGETSIZE_MAX);
        body_->setVisible(unfolded);
    } else {
        const int full = body_layout_->hasHeightForWidth() ? body_layout_->heightForWidth(heading_->width())
                                                           : body_layout_->sizeHint().height();
        animation_->setDuration(duration);
        animation_->setStartValue(unfolded ? 0 : body_->height());
        animation_->setEndValue(unfolded ? full : 0);
        body_->setMaximumHeight(unfolded ? 0 : body_->height());
        body_->setVisible(true);
        animation_->start();
    }
    emit unfolded_changed(unfolded);
}

int Card::body_height() const { return body_->maximumHeight(); }
void Card::set_body_height(int height) { body_->setMaximumHeight(height); }

void Card::changeEvent(QEvent* event) {
    QFrame::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) refresh_icon();
}

bool Card::eventFilter(QObject* watched, QEvent* event) {
    if (watched == heading_ && event->type() == QEvent::MouseButtonRelease &&
        static_cast<QMouseEvent*>(event)->button() == Qt::LeftButton &&
        heading_->rect().contains(static_cast<QMouseEvent*>(event)->pos())) {
        set_unfolded(!unfolded_);
        return true;
    }
    return QFrame::eventFilter(watched, event);
}

void Card::refresh_icon() {
    icon_label_->setPixmap(theme::icon_pixmap(icon_, theme::current().accent, theme::icon_px, devicePixelRatioF()));
    if (!fold_button_) return;
    fold_button_->setIcon(theme::icon(unfolded_ ? QStringLiteral("chevron-down") : QStringLiteral("chevron-right"),
                                      theme::Ink::dim));
    fold_button_->setAccessibleDescription(unfolded_ ? tr("unfolded") : tr("folded"));
}

}  // namespace qlora::ui
