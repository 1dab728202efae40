#pragma once
// A run as a card: status, name, what it trains on what, loss curve, best loss, steps, time and size.

#include <QStyledItemDelegate>

namespace qlora::ui {

class RunsDelegate : public QStyledItemDelegate {
    Q_OBJECT

  public:
    using QStyledItemDelegate::QStyledItemDelegate;

    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    // Renaming happens where the name stands.
    void updateEditorGeometry(QWidget* editor, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
};

}  // namespace qlora::ui
