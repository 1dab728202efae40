#include "ui/models/label_scores_model.h"

#include <algorithm>
#include <cmath>

#include "ui/format/format.h"
#include "ui/models/metric.h"

namespace qlora::ui {

void LabelScoresModel::set_scores(const std::vector<evaluate::LabelScore>& scores, bool values) {
    beginResetModel();
    scores_ = scores;
    values_ = values;
    endResetModel();
}

int LabelScoresModel::rowCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : int(scores_.size()); }

QVariant LabelScoresModel::data(const QModelIndex& index, int role) const {
    if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
    const auto& label = scores_[std::size_t(index.row())];
    const QString name = QString::fromStdString(label.name),
                  text = values_ ? format::figure(label.score) : metric_of("accuracy").text(label.score);
    switch (role) {
        case Qt::DisplayRole: return name;
        case Qt::ToolTipRole:
        case Qt::AccessibleTextRole: return tr("%1: %2").arg(name, text);
        case ScoreRole: return label.score;
        case ShareRole: return values_ ? double(NAN) : std::clamp(label.score, 0.0, 1.0);
        case ScoreTextRole: return text;
        default: return {};
    }
}

}  // namespace qlora::ui
