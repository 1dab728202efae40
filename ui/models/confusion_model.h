#pragma once
// Which class is taken for which: one row a class of the data, one column a class that the model says. UI thread only.

#include <QAbstractTableModel>
#include <QStringList>
#include <vector>

namespace qlora::ui {

class ConfusionModel : public QAbstractTableModel {
    Q_OBJECT

  public:
    enum Role {
        ShareRole = Qt::UserRole + 1,  // double: of the row's rows; 0 in an empty row
        RightRole,                     // bool: on the diagonal
    };

    using QAbstractTableModel::QAbstractTableModel;
    // Square, as long as `names`; both may be empty.
    void set_matrix(const std::vector<std::vector<std::int64_t>>& matrix, const QStringList& names);

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

  private:
    std::vector<std::vector<std::int64_t>> matrix_;
    std::vector<std::int64_t> sums_;  // of the rows
    QStringList names_;
};

}  // namespace qlora::ui
