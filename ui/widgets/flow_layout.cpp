#include "ui/widgets/flow_layout.h"

#include <QWidget>

namespace qlora::ui {

FlowGrid::FlowGrid(int cell_width, int horizontal_gap, int vertical_gap, QWidget* parent)
    : QLayout(parent), cell_width_(cell_width), horizontal_gap_(horizontal_gap), vertical_gap_(vertical_gap) {
    setContentsMargins(0, 0, 0, 0);
}

FlowGrid::~FlowGrid() = default;

void FlowGrid::addItem(QLayoutItem* item) { items_.emplace_back(item); }

QLayoutItem* FlowGrid::itemAt(int index) const {
    return index >= 0 && index < count() ? items_[static_cast<std::size_t>(index)].get() : nullptr;
}

QLayoutItem* FlowGrid::takeAt(int index) {
    if (index < 0 || index >= count()) return nullptr;
    auto item = std::move(items_[static_cast<std::size_t>(index)]);
    items_.erase(items_.begin() + index);
    return item.release();
}

int FlowGrid::heightForWidth(int width) const { return arrange(QRect(0, 0, width, 0), false); }
QSize FlowGrid::sizeHint() const { return {3 * cell_width_, heightForWidth(3 * cell_width_ + 2 * horizontal_gap_)}; }
QSize FlowGrid::minimumSize() const { return {cell_width_, 0}; }

void FlowGrid::setGeometry(const QRect& rect) {
    QLayout::setGeometry(rect);
    arrange(rect, true);
}

int FlowGrid::arrange(const QRect& rect, bool place) const {
    const int columns = std::max(1, (rect.width() + horizontal_gap_) / (cell_width_ + horizontal_gap_));
    const int width = (rect.width() - (columns - 1) * horizontal_gap_) / columns;
    int column = 0, y = rect.top(), row_height = 0;
    for (const auto& item : items_) {
        if (item->isEmpty()) continue;
        if (column == columns) {
            y += row_height + vertical_gap_;
            column = row_height = 0;
        }
        const int height = item->hasHeightForWidth() ? item->heightForWidth(width) : item->sizeHint().height();
        if (place) item->setGeometry(QRect(rect.left() + column * (width + horizontal_gap_), y, width, height));
        row_height = std::max(row_height, height);
        ++column;
    }
    return y + row_height - rect.top();
}

}  // namespace qlora::ui
