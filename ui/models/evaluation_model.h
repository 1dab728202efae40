#pragma once
// Held-out questions with the expected answer and the answer of each contender. UI thread only.

#include <QAbstractListModel>

#include "core/evaluate/chat.h"

namespace qlora::ui {

class EvaluationModel : public QAbstractListModel {
    Q_OBJECT

  public:
    enum Role {
        ExpectedRole = Qt::UserRole + 1,  // QString
        BaseRole,                         // QString, may be empty
        TunedRole,
    };

    using QAbstractListModel::QAbstractListModel;

    void set_report(const evaluate::Report& report);
    void clear() { set_report({}); }
    const evaluate::Report& report() const { return report_; }
    // The contender of that name; null: it was not measured.
    const evaluate::Contender* contender(const char* name) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;

  private:
    QString answer(const char* name, int row) const;

    evaluate::Report report_;
};

}  // namespace qlora::ui
