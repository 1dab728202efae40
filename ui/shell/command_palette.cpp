#include "ui/shell/command_palette.h"

#include <QApplication>
#include <QKeyEvent>
#include <QLineEdit>
#include <QListView>
#include <QPainter>
#include <QStyledItemDelegate>
#include <QVBoxLayout>

#include "ui/theme/icons.h"
#include "ui/theme/theme.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

namespace {

class CommandDelegate : public QStyledItemDelegate {
  public:
    using QStyledItemDelegate::QStyledItemDelegate;

    QSize sizeHint(const QStyleOptionViewItem&, const QModelIndex&) const override { return {300, 42}; }

    void paint(QPainter* painter, const QStyleOptionViewItem& option,
               const QModelIndex& index) const override {
        const theme::Tokens& tokens = theme::current();
        const bool enabled = option.state & QStyle::State_Enabled;
        painter->save();
        painter->setRenderHint(QPainter::Antialiasing);
        if (option.state & QStyle::State_Selected) {
            painter->setPen(Qt::NoPen);
            painter->setBrush(tokens.tint(tokens.accent, 0.16));
            painter->drawRoundedRect(QRectF(option.rect).adjusted(4, 1, -4, -1), theme::radius,
                                     theme::radius);
        }
        const QColor ink = enabled ? tokens.text : tokens.dim;
        const QPixmap picture = theme::icon_pixmap(index.data(CommandModel::IconRole).toString(), tokens.dim,
                                                   18, painter->device()->devicePixelRatioF());
        painter->drawPixmap(option.rect.left() + 14, option.rect.center().y() - 9, picture);
        const QRect room = option.rect.adjusted(44, 4, -14, -4);
        painter->setFont(theme::dim_font());
        painter->setPen(tokens.dim);
        const QString keys = index.data(CommandModel::KeysRole).toString();
        painter->drawText(room, Qt::AlignRight | Qt::AlignVCenter, keys);
        const QString why_not = index.data(CommandModel::WhyNotRole).toString();
        const QString detail = why_not.isEmpty() ? index.data(CommandModel::DetailRole).toString() : why_not;
        const int width = room.width() - 90;
        painter->drawText(QRect(room.left(), room.top() + 17, width, 17), Qt::AlignLeft | Qt::AlignVCenter,
                          QFontMetrics(theme::dim_font()).elidedText(detail, Qt::ElideRight, width));
        painter->setFont(theme::body_font());
        painter->setPen(ink);
        painter->drawText(QRect(room.left(), room.top(), width, 17), Qt::AlignLeft | Qt::AlignVCenter,
                          index.data(Qt::DisplayRole).toString());
        painter->restore();
    }
};

}  // namespace

CommandPalette::CommandPalette(QWidget* window) : QFrame(window) {
    setProperty("look", "popover");
    setAccessibleName(tr("Actions and settings"));
    model_ = make<CommandModel>(this);
    line_ = make<QLineEdit>(this);
    line_->setPlaceholderText(tr("Type an action or a setting"));
    line_->setAccessibleName(tr("Search actions and settings"));
    list_ = make<QListView>(this);
    list_->setModel(model_);
    list_->setItemDelegate(make<CommandDelegate>(list_));
    list_->setFrameShape(QFrame::NoFrame);
    list_->setStyleSheet(QStringLiteral("QListView { border: none; }"));
    list_->setFocusPolicy(Qt::NoFocus);
    list_->setUniformItemSizes(true);
    auto* column = make<QVBoxLayout>(this);
    column->setContentsMargins(10, 10, 10, 10);
    column->addWidget(line_);
    column->addWidget(list_, 1);
    line_->installEventFilter(this);
    connect(line_, &QLineEdit::textChanged, this, [this](const QString& text) {
        model_->set_filter(text);
        select_first();
    });
    connect(list_, &QListView::clicked, this, &CommandPalette::run);
    hide();
}

void CommandPalette::open(std::vector<Command> commands) {
    model_->set_commands(std::move(commands));
    line_->clear();
    select_first();
    const QSize size(std::min(560, parentWidget()->width() - 40),
                     std::min(420, parentWidget()->height() - 100));
    setGeometry(QRect(QPoint((parentWidget()->width() - size.width()) / 2, 60), size));
    show();
    raise();
    line_->setFocus();
}

void CommandPalette::select_first() {
    for (int row = 0; row < model_->rowCount(); ++row)
        if (model_->flags(model_->index(row)) & Qt::ItemIsEnabled) {
            list_->setCurrentIndex(model_->index(row));
            return;
        }
}

void CommandPalette::run(const QModelIndex& index) {
    const Command* command = model_->command(index);
    if (!command || !(model_->flags(index) & Qt::ItemIsEnabled)) return;
    const auto action = command->run;
    hide();
    if (action) action();
}

bool CommandPalette::eventFilter(QObject* watched, QEvent* event) {
    if (event->type() == QEvent::FocusOut && isVisible()) hide();
    if (event->type() == QEvent::KeyPress) {
        switch (static_cast<QKeyEvent*>(event)->key()) {
            case Qt::Key_Escape:
                hide();
                return true;
            case Qt::Key_Return:
            case Qt::Key_Enter:
                run(list_->currentIndex());
                return true;
            case Qt::Key_Up:
            case Qt::Key_Down:
            case Qt::Key_PageUp:
            case Qt::Key_PageDown:
                QApplication::sendEvent(list_, event);
                return true;
            default:
                break;
        }
    }
    return QFrame::eventFilter(watched, event);
}

}  // namespace qlora::ui
