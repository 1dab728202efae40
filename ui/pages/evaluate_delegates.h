#pragma once
// How conversations and example answers are drawn. Both take their width from the view they are drawn in.

#include <QStyledItemDelegate>

class QListView;

namespace qlora::ui {

// A message as a bubble: the user's at the right, the model's at the left with its figures under it.
class ChatDelegate : public QStyledItemDelegate {
    Q_OBJECT

  public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;
};

// A held-out question over the expected, the base model's and the tuned model's answer side by side.
class AnswerDelegate : public QStyledItemDelegate {
    Q_OBJECT

  public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
    QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;
};

// A list of items that each have their own height and follow the view's width, scrolled by pixels; Ctrl+C copies the
// current item as it reads aloud.
QListView* reading_list(const QString& accessible_name, QStyledItemDelegate* delegate, QWidget* parent = nullptr);

}  // namespace qlora::ui
