#pragma once
// Held-out texts with the expected label and what each contender says of them. UI thread only.

#include <QAbstractTableModel>

#include "core/evaluate/chat.h"

namespace qlora::ui {

class PredictionsModel : public QAbstractTableModel {
    Q_OBJECT

  public:
    enum Column { text_column, expected_column, first_contender };
    enum Role {
        WrongRole = Qt::UserRole + 1,  // bool, of a contender's label; invalid where labels are numbers or none was given
        AnyWrongRole,                  // bool, of a row: what the last contender says of it is wrong
        SortRole,                      // QString or double
    };

    using QAbstractTableModel::QAbstractTableModel;
    void set_report(const evaluate::Report& report);

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

  private:
    QString cell(int row, int column) const;
    bool is_wrong(int row, int column) const;

    evaluate::Report report_;
    bool numbers_ = false;  // regression: nothing is right or wrong
};

// A regression's: what it says is a number, more or less near.
bool tells_numbers(const evaluate::Report& report);
// "base", "tuned" for people.
QString contender_text(const std::string& name);

}  // namespace qlora::ui
