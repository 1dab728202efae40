#pragma once
// The rows of a data set as a table. Cells are fetched a block at a time when a view asks for them, so that a million
// rows cost no more than what is on screen. UI thread only; nothing here reads a file.

#include <QAbstractTableModel>
#include <QHash>
#include <QStringList>
#include <list>
#include <vector>

#include "core/data/report.h"

namespace qlora::ui {

// Rows first .. first + cells.size(), each with one text a column.
struct DatasetBlock {
    int first = 0;
    std::vector<QStringList> cells;
};

class DatasetModel : public QAbstractTableModel {
    Q_OBJECT

  public:
    static constexpr int block_rows = 64;
    enum Role {
        RemarkRole = Qt::UserRole + 1,  // QString: what is odd about the row: "same as row 12"
        RowRole,                        // int, from 0: the row in the file's table
    };

    using QAbstractTableModel::QAbstractTableModel;

    void reset(int rows, const std::vector<data::Column>& columns);
    void set_roles(const data::ColumnRoles& roles);          // for the headings
    void set_remarks(const data::DatasetReport& report);     // for the last column
    void provide(DatasetBlock block);                        // answers wanted(); any other block is ignored
    // Shows only rows with a remark, or all.
    void set_only_remarks(bool only);

    bool has_role(int column) const { return !role_of(columns_[column].name).isEmpty(); }
    int remark_column() const { return int(columns_.size()); }
    int remarks() const { return int(remarks_.size()); }
    int source_row(int row) const { return only_remarks_ ? remarked_rows_[row] : row; }

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

  signals:
    void wanted(int first, int count) const;  // rows of the file's table; sent once a block

  private:
    const QStringList* cells(int source) const;
    QString role_of(const std::string& column) const;

    int rows_ = 0;
    std::vector<data::Column> columns_;
    data::ColumnRoles roles_;
    QHash<int, QString> remarks_;
    std::vector<int> remarked_rows_;  // ascending
    bool only_remarks_ = false;
    // Blocks by number, and their numbers, the one asked for last in front. An empty block is on its way.
    mutable QHash<int, std::vector<QStringList>> blocks_;
    mutable std::list<int> recent_;
};

}  // namespace qlora::ui
