#include "ui/pages/evaluate_confusion.h"

#include <QPainter>
#include <QStyledItemDelegate>
#include <algorithm>

#include "ui/theme/theme.h"
#include "ui/widgets/make.h"

namespace qlora::ui {

namespace {

constexpr int cell_height = 30, narrowest_cell = 38, widest_cell = 76, longest_label = 150, label_padding = 8;

class CellDelegate : public QStyledItemDelegate {
  public:
    using QStyledItemDelegate::QStyledItemDelegate;

    void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override {
        const double share = index.data(ConfusionModel::ShareRole).toDouble();
        const bool right = index.data(ConfusionModel::RightRole).toBool();
        const QColor ground = ConfusionView::ground(share, right), ink = ConfusionView::ink(ground);
        const QRect cell = option.rect.adjusted(1, 1, -1, -1);
        painter->save();
        painter->fillRect(cell, ground);
        if (right) {
            painter->setPen(QPen(theme::current().accent, 1));
            painter->drawRect(cell.adjusted(0, 0, -1, -1));
        }
        const auto* view = qobject_cast<const QAbstractItemView*>(option.widget);
        if (view && view->hasFocus() && view->currentIndex() == index) {
            painter->setPen(QPen(ink, 2));
            painter->drawRect(cell.adjusted(2, 2, -3, -3));
        }
        painter->setFont(theme::figure_font());
        painter->setPen(share > 0 ? ink : theme::current().dim);
        painter->drawText(cell, Qt::AlignCenter, index.data().toString());
        painter->restore();
    }
};

// Names of classes over narrow columns: along the column where one is too long to lie across.
class ClassHeader : public QHeaderView {
  public:
    ClassHeader(Qt::Orientation orientation, QWidget* parent) : QHeaderView(orientation, parent) {
        setSectionsClickable(false);
        setHighlightSections(true);
    }

    QSize sizeHint() const override {
        const int longest = std::min(longest_label, longest_name());
        if (orientation() == Qt::Vertical) return {longest + 2 * label_padding, QHeaderView::sizeHint().height()};
        return {QHeaderView::sizeHint().width(), lies() ? cell_height : longest + 2 * label_padding};
    }

  protected:
    void paintSection(QPainter* painter, const QRect& rect, int section) const override {
        const auto& tokens = theme::current();
        const QString name = model()->headerData(section, orientation(), Qt::DisplayRole).toString();
        const auto* view = qobject_cast<const QAbstractItemView*>(parentWidget());
        const QModelIndex current = view ? view->currentIndex() : QModelIndex();
        const bool marked = view && view->hasFocus() && (orientation() == Qt::Vertical ? current.row() : current.column()) == section;
        QFont font = theme::dim_font();
        if (marked) font.setWeight(QFont::DemiBold);
        const QFontMetrics metrics(font);
        painter->save();
        painter->fillRect(rect, tokens.card);
        painter->setFont(font);
        painter->setPen(marked ? tokens.text : tokens.dim);
        if (orientation() == Qt::Vertical || lies()) {
            const int room = rect.width() - label_padding;
            painter->drawText(rect.adjusted(0, 0, -label_padding, 0),
                              orientation() == Qt::Vertical ? Qt::AlignRight | Qt::AlignVCenter : int(Qt::AlignCenter),
                              metrics.elidedText(name, Qt::ElideMiddle, room));
        } else {
            painter->translate(rect.center().x(), rect.bottom() - label_padding);
            painter->rotate(-90);
            painter->drawText(QRect(0, -rect.width() / 2, rect.height() - label_padding, rect.width()),
                              Qt::AlignLeft | Qt::AlignVCenter,
                              metrics.elidedText(name, Qt::ElideMiddle, rect.height() - 2 * label_padding));
        }
        painter->restore();
    }

  private:
    int longest_name() const {
        QFont font = theme::dim_font();
        font.setWeight(QFont::DemiBold);
        const QFontMetrics metrics(font);
        int longest = 0;
        for (int i = 0; model() && i < count(); ++i)
            longest = std::max(longest, metrics.horizontalAdvance(model()->headerData(i, orientation(), Qt::DisplayRole).toString()));
        return longest;
    }
    bool lies() const { return longest_name() + label_padding <= (count() > 0 ? sectionSize(0) : 0); }
};

}  // namespace

ConfusionView::ConfusionView(QWidget* parent) : QTableView(parent), model_(make<ConfusionModel>(this)) {
    setModel(model_);
    setItemDelegate(make<CellDelegate>(this));
    setHorizontalHeader(make<ClassHeader>(Qt::Horizontal, this));
    setVerticalHeader(make<ClassHeader>(Qt::Vertical, this));
    for (QHeaderView* header : {horizontalHeader(), verticalHeader()}) {
        header->setMinimumSectionSize(cell_height);
        header->setSectionResizeMode(QHeaderView::Fixed);
    }
    verticalHeader()->setDefaultSectionSize(cell_height);
    setAccessibleName(tr("Confusion matrix"));
    setShowGrid(false);
    setCornerButtonEnabled(false);
    setEditTriggers(NoEditTriggers);
    setSelectionMode(NoSelection);
    setHorizontalScrollMode(ScrollPerPixel);
    setVerticalScrollMode(ScrollPerPixel);
    setTabKeyNavigation(false);
    // The names of the current cell's classes are drawn bold.
    connect(selectionModel(), &QItemSelectionModel::currentChanged, this, [this] {
        horizontalHeader()->viewport()->update();
        verticalHeader()->viewport()->update();
    });
}

void ConfusionView::set_matrix(const std::vector<std::vector<std::int64_t>>& matrix, const QStringList& names) {
    model_->set_matrix(matrix, names);
    fit();
    if (!matrix.empty()) setCurrentIndex(model_->index(0, 0));
}

void ConfusionView::resizeEvent(QResizeEvent* event) {
    QTableView::resizeEvent(event);
    fit();
}

void ConfusionView::fit() {
    const int columns = model_->columnCount();
    if (columns == 0) return;
    const int room = width() - verticalHeader()->sizeHint().width() - 2 * frameWidth();
    const int cell = std::clamp(room / columns, narrowest_cell, widest_cell);
    if (horizontalHeader()->defaultSectionSize() == cell && horizontalHeader()->sectionSize(0) == cell) return;
    horizontalHeader()->setDefaultSectionSize(cell);
    updateGeometries();
}

QColor ConfusionView::ground(double share, bool right) {
    const auto& tokens = theme::current();
    if (!(share > 0)) return tokens.card;
    return tokens.tint(right ? tokens.accent : tokens.tag(MemoryTag::adapters), 0.12 + 0.88 * std::min(share, 1.0));
}

QColor ConfusionView::ink(const QColor& ground) {
    return theme::contrast(Qt::black, ground) >= theme::contrast(Qt::white, ground) ? Qt::black : Qt::white;
}

}  // namespace qlora::ui
