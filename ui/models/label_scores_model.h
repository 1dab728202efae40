#pragma once
// What a classifier makes of one text: its labels with their probabilities, the likeliest first. UI thread only.

#include <QAbstractListModel>
#include <vector>

#include "core/evaluate/chat.h"

namespace qlora::ui {

class LabelScoresModel : public QAbstractListModel {
    Q_OBJECT

  public:
    enum Role {
        ScoreRole = Qt::UserRole + 1,  // double
        ShareRole,                     // double from 0 to 1, how long a bar is; NaN: the score is a value, not a probability
        ScoreTextRole,                 // QString: "92.1 %", "3.52"
    };

    using QAbstractListModel::QAbstractListModel;
    // `values`: of a regression, where scores are no probabilities.
    void set_scores(const std::vector<evaluate::LabelScore>& scores, bool values);

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;

  private:
    std::vector<evaluate::LabelScore> scores_;
    bool values_ = false;
};

}  // namespace qlora::ui
