#include "ui/widgets/notice_row.h"

#include <QEvent>
#include <QHBoxLayout>
#include <QLabel>

#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

NoticeRow::NoticeRow(Weight weight, const QString& text, QWidget* parent) : QWidget(parent), weight_(weight) {
    icon_ = make<QLabel>(this);
    text_ = wrapped_label(text, nullptr, this);
    text_->setAlignment(Qt::AlignTop | Qt::AlignLeft);
    auto* row = make<QHBoxLayout>(this);
    row->setContentsMargins(0, 0, 0, 0);
    row->setSpacing(6);
    row->addWidget(icon_, 0, Qt::AlignTop);
    row->addWidget(text_, 1);
    refresh();
}

void NoticeRow::set(Weight weight, const QString& text) {
    weight_ = weight;
    text_->setText(text);
    refresh();
}

QString NoticeRow::text() const { return text_->text(); }

void NoticeRow::changeEvent(QEvent* event) {
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) refresh();
}

void NoticeRow::refresh() {
    const theme::Tokens& tokens = theme::current();
    const auto [name, color] = [&]() -> std::pair<const char*, QColor> {
        switch (weight_) {
            case Weight::good: return {"check", tokens.good};
            case Weight::warning: return {"warning", tokens.warning};
            case Weight::bad: return {"error", tokens.bad};
            case Weight::info: break;
        }
        return {"info", tokens.dim};
    }();
    icon_->setPixmap(theme::icon_pixmap(QString::fromLatin1(name), color, 16, devicePixelRatioF()));
    const auto look = weight_ == Weight::warning ? "warning" : weight_ == Weight::bad ? "bad" : weight_ == Weight::good ? "good" : "body";
    set_look(text_, look);
}

}  // namespace qlora::ui
