#include "ui/widgets/choice_list.h"

#include <QAbstractButton>
#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>

#include "ui/theme/theme.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

namespace {

class ChoiceButton : public QAbstractButton {
  public:
    ChoiceButton(const ChoiceList::Choice& choice, QWidget* parent) : QAbstractButton(parent), choice_(choice) {
        setText(choice.name);
        setAccessibleName(choice.name);
        setAccessibleDescription(choice.detail);
        setCheckable(true);
        setAutoExclusive(true);
        setEnabled(choice.enabled);
        setFocusPolicy(Qt::StrongFocus);
        setAttribute(Qt::WA_Hover);
        setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    }
    const QString& id() const { return choice_.id; }
    QSize sizeHint() const override { return {240, 44}; }

  protected:
    void paintEvent(QPaintEvent*) override {
        const theme::Tokens& tokens = theme::current();
        QPainter painter(this);
        painter.setRenderHint(QPainter::Antialiasing);
        const QRectF area = QRectF(rect()).adjusted(1, 1, -1, -1);
        painter.setPen(QPen(hasFocus() ? tokens.accent : isChecked() ? tokens.accent : tokens.line, hasFocus() ? 2 : 1));
        painter.setBrush(isChecked() ? tokens.tint(tokens.accent, 0.10) : underMouse() && isEnabled() ? tokens.hover() : tokens.card);
        painter.drawRoundedRect(area, theme::radius, theme::radius);
        const QPointF center(20, height() / 2.0);
        painter.setPen(QPen(isChecked() ? tokens.accent : tokens.control_line(), 1.5));
        painter.setBrush(Qt::NoBrush);
        painter.drawEllipse(center, 6, 6);
        if (isChecked()) {
            painter.setPen(Qt::NoPen);
            painter.setBrush(tokens.accent);
            painter.drawEllipse(center, 3, 3);
        }
        const int left = 38, room = width() - left - 12;
        QFont name = theme::body_font();
        name.setWeight(QFont::DemiBold);
        painter.setFont(name);
        painter.setPen(isEnabled() ? tokens.text : tokens.dim);
        painter.drawText(QRect(left, 5, room, 18), Qt::AlignLeft | Qt::AlignVCenter,
                         QFontMetrics(name).elidedText(choice_.name, Qt::ElideRight, room));
        painter.setFont(theme::dim_font());
        painter.setPen(tokens.dim);
        painter.drawText(QRect(left, 22, room, 17), Qt::AlignLeft | Qt::AlignVCenter,
                         QFontMetrics(theme::dim_font()).elidedText(choice_.detail, Qt::ElideRight, room));
    }

  private:
    ChoiceList::Choice choice_;
};

}  // namespace

ChoiceList::ChoiceList(const QString& accessible_name, QWidget* parent) : QWidget(parent) {
    setAccessibleName(accessible_name);
    column_ = make<QVBoxLayout>(this);
    column_->setContentsMargins(0, 0, 0, 0);
    column_->setSpacing(4);
}

void ChoiceList::set_choices(const std::vector<Choice>& choices) {
    if (choices == choices_) return;
    choices_ = choices;
    while (QLayoutItem* item = column_->takeAt(0)) {
        std::unique_ptr<QLayoutItem> owned(item);
        if (item->widget()) item->widget()->deleteLater();
    }
    for (const auto& choice : choices) {
        auto* button = make<ChoiceButton>(choice, this);
        connect(button, &QAbstractButton::clicked, this, [this, id = choice.id] { emit chosen(id); });
        column_->addWidget(button);
    }
}

void ChoiceList::set_current(const QString& id) {
    for (int i = 0; i < column_->count(); ++i) {
        auto* button = static_cast<ChoiceButton*>(column_->itemAt(i)->widget());
        button->setAutoExclusive(false);
        button->setChecked(button->id() == id);
        button->setAutoExclusive(true);
    }
}

ChipRow::ChipRow(QWidget* parent) : QWidget(parent) {
    auto* row = make<QHBoxLayout>(this);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(6);
    setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
}

void ChipRow::set_chips(const QStringList& chips) {
    if (chips == chips_) return;
    chips_ = chips;
    while (QLayoutItem* item = layout()->takeAt(0)) {
        std::unique_ptr<QLayoutItem> owned(item);
        if (item->widget()) item->widget()->deleteLater();
    }
    for (const QString& chip : chips) layout()->addWidget(plain_label(chip, "chip", this));
}

}  // namespace qlora::ui
