#include "ui/models/trials_model.h"

#include <QFont>
#include <cmath>
#include <limits>

#include "ui/format/format.h"
#include "ui/models/trial_axes.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

QString trial_state_text(const search::Trial& trial, bool live) {
    using enum search::Trial::Status;
    switch (trial.status) {
        case waiting: return TrialsModel::tr("Waiting");
        case running: return live ? TrialsModel::tr("Running") : TrialsModel::tr("Interrupted");
        case between: return TrialsModel::tr("May go on");
        case completed: return TrialsModel::tr("Completed");
        case left: return TrialsModel::tr("Left behind");
        case failed: break;
    }
    return TrialsModel::tr("Failed");
}

void TrialsModel::set_standing(const search::Standing& standing) {
    const auto best = search::best_of(standing.search, standing.trials);
    const int row = best ? int(*best) : -1;
    const bool same = standing.folder == standing_.folder && standing.search == standing_.search && standing.trials.size() == standing_.trials.size();
    if (!same) {
        beginResetModel();
        standing_ = standing;
        best_ = row;
        endResetModel();
        return;
    }
    const auto before = std::move(standing_.trials);
    const bool live = standing_.running, marked = best_ != row;
    const int was_best = best_;
    standing_ = standing;
    best_ = row;
    for (int i = 0; i < rowCount(); ++i)
        // NaN is not itself: rows without a figure are told again, which changes nothing on screen.
        if (!(before[std::size_t(i)] == standing_.trials[std::size_t(i)]) || live != standing.running || (marked && (i == was_best || i == row)))
            emit dataChanged(index(i, 0), index(i, columnCount() - 1));
}

void TrialsModel::clear() {
    beginResetModel();
    standing_ = {};
    best_ = -1;
    endResetModel();
}

const search::Trial* TrialsModel::trial(int row) const {
    return row >= 0 && row < rowCount() ? &standing_.trials[std::size_t(row)] : nullptr;
}

int TrialsModel::rowCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : int(standing_.trials.size()); }

int TrialsModel::columnCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : first_value_column + values() + 2; }

QString TrialsModel::text(const search::Trial& trial, int column) const {
    if (column == trial_column) return QString::number(trial.number);
    if (column == state_column) return trial_state_text(trial, standing_.running);
    if (column == metric_column) return search_metric_text(standing_.search.metric, trial.value());
    if (const int axis = column - first_value_column; axis < values()) {
        const std::string& key = standing_.search.axes[std::size_t(axis)].key;
        return value_text(key, trial.values.at(key));
    }
    if (column == first_value_column + values())
        return trial.all_steps > 0 ? u"%1 / %2"_s.arg(format::count(trial.steps), format::count(trial.all_steps)) : u"–"_s;
    return trial.seconds > 0 ? format::duration(trial.seconds) : u"–"_s;
}

QVariant TrialsModel::sort_key(const search::Trial& trial, int column) const {
    constexpr double last = std::numeric_limits<double>::max();
    if (column == trial_column) return double(trial.number);
    if (column == metric_column) {
        if (!std::isfinite(trial.value())) return standing_.search.maximize ? -last : last;
        return trial.value();
    }
    if (const int axis = column - first_value_column; axis >= 0 && axis < values()) {
        const Json& value = trial.values.at(standing_.search.axes[std::size_t(axis)].key);
        if (value.is_number()) return value.get<double>();
    }
    if (column == first_value_column + values()) return double(trial.steps);
    if (column == first_value_column + values() + 1) return trial.seconds;
    return text(trial, column);
}

// Figures at the right, words at the left.
int TrialsModel::alignment(int column) const {
    bool words = column == state_column;
    if (const int axis = column - first_value_column; axis >= 0 && axis < values() && !standing_.trials.empty())
        words = !standing_.trials.front().values.at(standing_.search.axes[std::size_t(axis)].key).is_number();
    return int((words ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
}

QVariant TrialsModel::data(const QModelIndex& index, int role) const {
    if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
    const search::Trial& trial = standing_.trials[std::size_t(index.row())];
    const int column = index.column();
    const bool best = index.row() == best_;
    switch (role) {
        case Qt::DisplayRole:
            if (column == trial_column && best) return tr("★ %1").arg(text(trial, column));
            return text(trial, column);
        case Qt::ToolTipRole: {
            QStringList lines;
            if (best) lines << tr("The best so far");
            if (trial.baseline) lines << tr("The recipe as it is");
            if (!trial.reason.empty()) lines << QString::fromStdString(trial.reason);
            for (const auto& [name, value] : trial.metrics) lines << u"%1: %2"_s.arg(search_metric_name(name), search_metric_text(name, value));
            return lines.join(u'\n');
        }
        case Qt::TextAlignmentRole: return alignment(column);
        case Qt::FontRole: {
            QFont font;
            font.setBold(best);
            return font;
        }
        case Qt::AccessibleTextRole: return best ? tr("%1, the best so far").arg(text(trial, column)) : text(trial, column);
        case SortRole: return sort_key(trial, column);
        case BestRole: return best;
        default: return {};
    }
}

QVariant TrialsModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal || section < 0 || section >= columnCount()) return {};
    if (role == Qt::TextAlignmentRole) return alignment(section);
    if (role != Qt::DisplayRole) return {};
    if (section == trial_column) return tr("Run");
    if (section == state_column) return tr("State");
    if (section == metric_column) return search_metric_name(standing_.search.metric);
    if (const int axis = section - first_value_column; axis < values()) return field_label(standing_.search.axes[std::size_t(axis)].key);
    return section == first_value_column + values() ? tr("Steps") : tr("Time");
}

}  // namespace qlora::ui
