#include "ui/models/confusion_model.h"

#include <numeric>

#include "ui/format/format.h"

namespace qlora::ui {

void ConfusionModel::set_matrix(const std::vector<std::vector<std::int64_t>>& matrix, const QStringList& names) {
    beginResetModel();
    matrix_ = matrix;
    names_ = names;
    sums_.clear();
    for (const auto& row : matrix_) sums_.push_back(std::accumulate(row.begin(), row.end(), std::int64_t{0}));
    endResetModel();
}

int ConfusionModel::rowCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : int(matrix_.size()); }
int ConfusionModel::columnCount(const QModelIndex& parent) const { return rowCount(parent); }

QVariant ConfusionModel::data(const QModelIndex& index, int role) const {
    if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
    const std::int64_t count = matrix_[std::size_t(index.row())][std::size_t(index.column())],
                       sum = sums_[std::size_t(index.row())];
    const double share = sum > 0 ? double(count) / double(sum) : 0;
    // One arg() for all: a name may hold a %1 of its own.
    const auto sentence = [&](const QString& row, const QString& column) {
        const QString counted = format::count(count), all = format::count(sum), part = format::percent(share);
        return index.row() == index.column()
                   ? tr("“%1”: %2 of %3 rows are found (%4)").arg(row, counted, all, part)
                   : tr("“%1”: %2 of %3 rows are taken for “%4” (%5)").arg(row, counted, all, column, part);
    };
    const QString row = names_.value(index.row()), column = names_.value(index.column());
    switch (role) {
        case Qt::DisplayRole: return format::count(count);
        case Qt::TextAlignmentRole: return Qt::AlignCenter;
        case Qt::AccessibleTextRole: return sentence(row, column);
        case Qt::ToolTipRole: return QStringLiteral("<p>%1</p>").arg(sentence(row.toHtmlEscaped(), column.toHtmlEscaped()));
        case ShareRole: return share;
        case RightRole: return index.row() == index.column();
        default: return {};
    }
}

QVariant ConfusionModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (section < 0 || section >= names_.size()) return {};
    const QString name = names_[section];
    if (role == Qt::DisplayRole) return name;
    const bool said = orientation == Qt::Horizontal;
    if (role == Qt::AccessibleTextRole) return said ? tr("said to be %1").arg(name) : tr("%1 in the data").arg(name);
    if (role == Qt::ToolTipRole)
        return QStringLiteral("<p>%1</p>").arg(
            (said ? tr("said to be “%1”") : tr("“%1” in the data")).arg(name.toHtmlEscaped()));
    return {};
}

}  // namespace qlora::ui
