#include "ui/models/runs_model.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "ui/format/format.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

QString text(const std::string& utf8) { return QString::fromStdString(utf8); }

// Losses that are no number are equal to themselves here: a refresh must not repaint for them.
bool same(const QList<double>& a, const QList<double>& b) {
    return std::ranges::equal(a, b, [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

auto fields(const runs::Run& run) {
    return std::tie(run.id, run.name, run.folder, run.status, run.model, run.data, run.precision, run.method,
                    run.created, run.steps_done, run.steps, run.train_loss, run.validation_loss, run.best_loss,
                    run.best_step, run.peak_bytes, run.folder_bytes, run.seconds, run.error, run.resumable);
}

QString subtitle(const runs::Run& run) {
    QStringList parts;
    for (const auto* part : {&run.model, &run.data}) parts << text(*part);
    parts << text(run.precision).toUpper() << text(run.method);
    parts.removeAll(QString());
    return parts.join(u" · ");
}

QString steps(const runs::Run& run) {
    const QString done = format::count(run.steps_done);
    return run.steps > 0 ? u"%1 / %2"_s.arg(done, format::count(run.steps)) : done;
}

}  // namespace

bool RunEntry::operator==(const RunEntry& other) const {
    return fields(run) == fields(other.run) && checkpoints == other.checkpoints &&
           has_adapter == other.has_adapter && same(losses, other.losses);
}

QString status_text(const std::string& status) {
    if (status == "running") return RunsModel::tr("Running");
    if (status == "completed") return RunsModel::tr("Completed");
    if (status == "early_stopping") return RunsModel::tr("Stopped early");
    if (status == "stopped_and_saved") return RunsModel::tr("Stopped, saved");
    if (status == "stopped") return RunsModel::tr("Stopped");
    if (status == "failed") return RunsModel::tr("Failed");
    if (status == "interrupted") return RunsModel::tr("Interrupted");
    return text(status);
}

QString delete_question(const RunEntry& entry) {
    const QString name = text(entry.run.name), size = format::bytes(entry.run.folder_bytes);
    // One arg() for all: the name may hold a %1 of its own.
    const QString pattern = entry.checkpoints == 0   ? RunsModel::tr("Delete “%1” (%2)?")
                            : entry.checkpoints == 1 ? RunsModel::tr("Delete “%1” and its checkpoint (%2)?")
                                                     : RunsModel::tr("Delete “%1” and its %3 checkpoints (%2)?");
    return entry.checkpoints < 2 ? pattern.arg(name, size) : pattern.arg(name, size, format::count(entry.checkpoints));
}

void RunsModel::set_entries(std::vector<RunEntry> fresh) {
    const auto row_in = [](const std::vector<RunEntry>& list, std::int64_t id) {
        const auto found = std::ranges::find(list, id, [](const RunEntry& entry) { return entry.run.id; });
        return found == list.end() ? -1 : int(found - list.begin());
    };
    for (int row = int(entries_.size()) - 1; row >= 0; --row) {
        if (row_in(fresh, entries_[row].run.id) >= 0) continue;
        beginRemoveRows({}, row, row);
        entries_.erase(entries_.begin() + row);
        endRemoveRows();
    }
    for (int row = 0; row < int(fresh.size()); ++row) {
        const int old = row_in(entries_, fresh[row].run.id);
        if (old < 0) {
            beginInsertRows({}, row, row);
            entries_.insert(entries_.begin() + row, std::move(fresh[row]));
            endInsertRows();
            continue;
        }
        if (old != row) {
            beginMoveRows({}, old, old, {}, row);
            std::rotate(entries_.begin() + row, entries_.begin() + old, entries_.begin() + old + 1);
            endMoveRows();
        }
        if (entries_[row] == fresh[row]) continue;
        entries_[row] = std::move(fresh[row]);
        emit dataChanged(index(row), index(row));
    }
}

const RunEntry* RunsModel::entry(const QModelIndex& index) const {
    const bool known = index.isValid() && checkIndex(index, CheckIndexOption::IndexIsValid);
    return known ? &entries_[index.row()] : nullptr;
}

QModelIndex RunsModel::index_of(std::int64_t id) const {
    const auto found = std::ranges::find(entries_, id, [](const RunEntry& entry) { return entry.run.id; });
    return found == entries_.end() ? QModelIndex() : index(int(found - entries_.begin()));
}

int RunsModel::rowCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : int(entries_.size()); }

QVariant RunsModel::data(const QModelIndex& index, int role) const {
    const RunEntry* entry = this->entry(index);
    if (!entry) return {};
    const runs::Run& run = entry->run;
    const auto best = run.best_loss ? run.best_loss : run.train_loss;
    switch (role) {
        case Qt::DisplayRole:
        case Qt::EditRole: return text(run.name);
        case Qt::AccessibleTextRole:
            return tr("%1, %2, best loss %3, %4 steps")
                .arg(text(run.name), status_text(run.status), this->data(index, BestLossRole).toString(), steps(run));
        case Qt::ToolTipRole:
            // Escaped and wrapped as rich text, since a tool tip guesses its format from what it holds.
            return u"<p>%1</p>"_s.arg(
                (run.error.empty() ? QString::fromStdString(run.folder.string()) : text(run.error)).toHtmlEscaped());
        case IdRole: return qint64(run.id);
        case StatusRole: return text(run.status);
        case SubtitleRole: return subtitle(run);
        case LossesRole: return QVariant::fromValue(entry->losses);
        case BestLossRole: return best && std::isfinite(*best) ? format::figure(*best) : u"–"_s;
        case StepsRole: return steps(run);
        case TimeRole: return run.seconds > 0 ? format::duration(run.seconds) : u"–"_s;
        case SizeRole: return run.folder_bytes > 0 ? format::bytes(run.folder_bytes) : u"–"_s;
        case CreatedRole: return format::when(run.created);
        case SearchRole: return u"%1 %2 %3"_s.arg(text(run.name), subtitle(run), status_text(run.status));
        default: return {};
    }
}

bool RunsModel::setData(const QModelIndex& index, const QVariant& value, int role) {
    const RunEntry* entry = this->entry(index);
    const QString name = value.toString().simplified();
    if (!entry || role != Qt::EditRole || name.isEmpty() || name == text(entry->run.name)) return false;
    entries_[index.row()].run.name = name.toStdString();
    emit dataChanged(index, index);
    emit rename_requested(entry->run.id, name);
    return true;
}

Qt::ItemFlags RunsModel::flags(const QModelIndex& index) const {
    const auto flags = QAbstractListModel::flags(index);
    return index.isValid() ? flags | Qt::ItemIsEditable : flags;
}

}  // namespace qlora::ui
