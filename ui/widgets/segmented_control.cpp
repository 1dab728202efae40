#include "ui/widgets/segmented_control.h"

#include <QAbstractButton>
#include <QButtonGroup>
#include <QHBoxLayout>
#include <QPainter>

#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

namespace {

class Segment : public QAbstractButton {
  public:
    Segment(const QString& text, QWidget* parent) : QAbstractButton(parent) {
        setText(text);
        setAccessibleName(text);
        setCheckable(true);
        setFocusPolicy(Qt::StrongFocus);
        setAttribute(Qt::WA_Hover);
    }
    QSize sizeHint() const override {
        if (!icon().isNull()) return {32, 28};
        QFont bold = font();
        bold.setWeight(QFont::DemiBold);
        return {QFontMetrics(bold).horizontalAdvance(text()) + 24, 28};
    }

  protected:
    void paintEvent(QPaintEvent*) override {
        const theme::Tokens& tokens = theme::current();
        QPainter painter(this);
        painter.setRenderHint(QPainter::Antialiasing);
        const QRectF area = QRectF(rect()).adjusted(2.5, 2.5, -2.5, -2.5);
        if (isChecked() || underMouse()) {
            painter.setPen(isChecked() ? QPen(tokens.control_line()) : QPen(Qt::NoPen));
            painter.setBrush(isChecked() ? tokens.tint(tokens.accent, 0.14) : tokens.hover());
            painter.drawRoundedRect(area, 5, 5);
        }
        if (hasFocus()) {
            painter.setPen(QPen(tokens.accent, 2));
            painter.setBrush(Qt::NoBrush);
            painter.drawRoundedRect(area, 5, 5);
        }
        if (!icon().isNull()) {
            icon().paint(&painter, rect().adjusted(7, 5, -7, -5), Qt::AlignCenter, QIcon::Normal,
                         isChecked() ? QIcon::On : QIcon::Off);
            return;
        }
        QFont font = this->font();
        font.setWeight(isChecked() ? QFont::DemiBold : QFont::Normal);
        painter.setFont(font);
        painter.setPen(isChecked() ? tokens.text : tokens.dim);
        painter.drawText(rect(), Qt::AlignCenter, text());
    }
};

}  // namespace

SegmentedControl::SegmentedControl(const QString& accessible_name, const QStringList& choices, QWidget* parent)
    : QWidget(parent) {
    setAccessibleName(accessible_name);
    setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    group_ = make<QButtonGroup>(this);
    auto* row = make<QHBoxLayout>(this);
    row->setContentsMargins(1, 1, 1, 1);
    row->setSpacing(0);
    for (qsizetype i = 0; i < choices.size(); ++i) {
        auto* segment = make<Segment>(choices[i], this);
        group_->addButton(segment, int(i));
        row->addWidget(segment);
    }
    if (auto* first = group_->button(0)) first->setChecked(true);
    connect(group_, &QButtonGroup::idToggled, this, [this](int id, bool checked) {
        if (checked) emit changed(id);
    });
}

void SegmentedControl::set_icons(const QStringList& icons) {
    for (qsizetype i = 0; i < icons.size(); ++i) {
        QAbstractButton* segment = group_->button(int(i));
        segment->setIcon(theme::icon(icons[i]));
        segment->setToolTip(segment->text());
        segment->updateGeometry();
    }
}

void SegmentedControl::set_text(int index, const QString& text) {
    QAbstractButton* segment = group_->button(index);
    segment->setText(text);
    segment->setAccessibleName(text);
    segment->updateGeometry();
}

int SegmentedControl::current() const { return group_->checkedId(); }

void SegmentedControl::set_current(int index) {
    if (auto* segment = group_->button(index)) segment->setChecked(true);
}

void SegmentedControl::paintEvent(QPaintEvent*) {
    const theme::Tokens& tokens = theme::current();
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setPen(tokens.control_line());
    painter.setBrush(tokens.card);
    painter.drawRoundedRect(QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5), theme::radius, theme::radius);
}

}  // namespace qlora::ui
