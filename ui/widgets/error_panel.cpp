#include "ui/widgets/error_panel.h"

#include <QClipboard>
#include <QEvent>
#include <QGuiApplication>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QToolButton>

#include "ui/theme/icons.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/elided_label.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

ErrorPanel::ErrorPanel(QWidget* parent) : QFrame(parent) {
    setProperty("look", "notice-bad");
    setAccessibleName(tr("Error"));
    icon_ = make<QLabel>(this);
    what_ = wrapped_label({}, nullptr, this);
    what_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    where_ = wrapped_label({}, "dim", this);
    hint_ = wrapped_label({}, nullptr, this);
    retry_ = make<QPushButton>(tr("Try again"), this);
    retry_->hide();
    connect(retry_, &QPushButton::clicked, this, &ErrorPanel::retry);
    auto* copy = make<QPushButton>(tr("Copy details"), this);
    copy->setProperty("look", "quiet");
    connect(copy, &QPushButton::clicked, this, [this] { QGuiApplication::clipboard()->setText(details()); });
    auto* close = make<QToolButton>(this);
    close->setIcon(theme::icon(QStringLiteral("close")));
    close->setAccessibleName(tr("Close this message"));
    close->setToolTip(tr("Close this message"));
    connect(close, &QToolButton::clicked, this, &ErrorPanel::clear);

    auto* texts = make<QVBoxLayout>();
    texts->setSpacing(4);
    for (QLabel* label : {what_, where_, hint_}) texts->addWidget(label);
    auto* row = make<QHBoxLayout>(this);
    row->setContentsMargins(12, 8, 8, 8);
    row->setSpacing(theme::grid);
    row->addWidget(icon_, 0, Qt::AlignTop);
    row->addLayout(texts, 1);
    for (QWidget* button : std::initializer_list<QWidget*>{retry_, copy, close}) row->addWidget(button, 0, Qt::AlignTop);
    hide();
    refresh_icon();
}

void ErrorPanel::show_error(const Error& error) {
    show_error(QString::fromStdString(error.message()), QString::fromStdString(error.where()),
               QString::fromStdString(error.hint()), QString::fromStdString(error.code()));
}

void ErrorPanel::show_error(const QString& what, const QString& where, const QString& hint, const QString& code) {
    code_ = code;
    where_text_ = where;
    what_->setText(what);
    // The engine's message begins with the place; saying it twice helps nobody.
    const bool named = where.isEmpty() || what.startsWith(where);
    where_->setText(named ? QString() : tr("Where: %1").arg(where));
    where_->setVisible(!named);
    hint_->setText(hint);
    hint_->setVisible(!hint.isEmpty());
    setAccessibleDescription(what + QLatin1Char(' ') + hint);
    show();
}

void ErrorPanel::clear() {
    hide();
    what_->clear();
}

void ErrorPanel::set_retry(const QString& label) {
    retry_->setText(label);
    retry_->setVisible(!label.isEmpty());
}

QString ErrorPanel::details() const {
    QStringList lines{what_->text()};
    if (!where_text_.isEmpty()) lines << tr("Where: %1").arg(where_text_);
    if (!hint_->text().isEmpty()) lines << tr("What to do: %1").arg(hint_->text());
    if (!code_.isEmpty()) lines << tr("Code: %1").arg(code_);
    return lines.join(QLatin1Char('\n'));
}

void ErrorPanel::changeEvent(QEvent* event) {
    QFrame::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) refresh_icon();
}

void ErrorPanel::refresh_icon() {
    icon_->setPixmap(theme::icon_pixmap(QStringLiteral("error"), theme::current().bad, theme::icon_px, devicePixelRatioF()));
}

}  // namespace qlora::ui
