#pragma once
// The trials of one search as a table: number, state, metric, one column a varied field, steps, time. UI thread only.

#include <QAbstractTableModel>

#include "core/search/folder.h"

namespace qlora::ui {

class TrialsModel : public QAbstractTableModel {
    Q_OBJECT

  public:
    enum Column { trial_column, state_column, metric_column, first_value_column };  // behind the values: steps, time
    enum Role {
        SortRole = Qt::UserRole + 1,  // numbers, so that 16 comes after 8; what has none comes last
        BestRole,                     // bool
    };

    using QAbstractTableModel::QAbstractTableModel;

    // Another search resets the model; another standing of the same one changes only what is new, so that the selection stays.
    void set_standing(const search::Standing& standing);
    void clear();
    const search::Standing& standing() const { return standing_; }
    const search::Trial* trial(int row) const;  // null: none
    int best_row() const { return best_; }      // -1: none

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

  private:
    int values() const { return int(standing_.search.axes.size()); }
    QString text(const search::Trial& trial, int column) const;
    int alignment(int column) const;
    QVariant sort_key(const search::Trial& trial, int column) const;

    search::Standing standing_;
    int best_ = -1;
};

// "completed", "left behind", "failed", ... for people; `live`: the search itself is running.
QString trial_state_text(const search::Trial& trial, bool live);

}  // namespace qlora::ui
