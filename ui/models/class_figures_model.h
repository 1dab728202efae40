#pragma once
// Precision, recall and F1 of each class as a table. UI thread only.

#include <QAbstractTableModel>
#include <vector>

#include "core/evaluate/metrics.h"

namespace qlora::ui {

class ClassFiguresModel : public QAbstractTableModel {
    Q_OBJECT

  public:
    enum Column { name_column, precision_column, recall_column, f1_column, rows_column, predicted_column, column_count };
    static constexpr int SortRole = Qt::UserRole + 1;  // QString or double

    using QAbstractTableModel::QAbstractTableModel;
    void set_classes(const std::vector<evaluate::ClassFigures>& classes);

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

  private:
    std::vector<evaluate::ClassFigures> classes_;
};

}  // namespace qlora::ui
