#include "ui/models/dataset_model.h"

#include <algorithm>

#include "ui/format/format.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr std::size_t kept_blocks = 64;
constexpr int shown_characters = 160;

QString text(const std::string& utf8) { return QString::fromStdString(utf8); }

// A reason that "first up to ten" rows share, as the engine words it.
QString sentence(const std::string& reason) {
    QString words = text(reason);
    if (!words.isEmpty()) words[0] = words[0].toUpper();
    return words;
}

}  // namespace

void DatasetModel::reset(int rows, const std::vector<data::Column>& columns) {
    beginResetModel();
    rows_ = rows;
    columns_ = columns;
    roles_ = {};
    remarks_.clear();
    remarked_rows_.clear();
    only_remarks_ = false;
    blocks_.clear();
    recent_.clear();
    endResetModel();
}

void DatasetModel::set_roles(const data::ColumnRoles& roles) {
    if (roles == roles_) return;
    roles_ = roles;
    if (columnCount() > 0) emit headerDataChanged(Qt::Horizontal, 0, columnCount() - 1);
}

void DatasetModel::set_remarks(const data::DatasetReport& report) {
    QHash<int, QString> remarks;
    const auto add = [&](std::size_t row, const QString& remark) {
        if (row >= std::size_t(rows_)) return;
        QString& all = remarks[int(row)];
        if (!all.contains(remark)) all += (all.isEmpty() ? QString() : u" · "_s) + remark;
    };
    for (const auto& dropped : report.dropped)
        for (auto row : dropped.first) add(row, sentence(dropped.reason));
    for (auto row : report.empty_rows)
        if (!remarks.contains(int(row))) add(row, tr("Empty"));
    for (const auto& group : report.duplicates)
        for (std::size_t i = 1; i < group.size(); ++i)
            add(group[i], tr("Same as row %1").arg(format::count(std::int64_t(group[0]) + 1)));
    for (const auto& leak : report.leaks)
        add(leak.train, tr("Held-out row %1 too").arg(format::count(std::int64_t(leak.test) + 1)));
    if (only_remarks_) beginResetModel();
    remarks_ = std::move(remarks);
    remarked_rows_.assign(remarks_.keyBegin(), remarks_.keyEnd());
    std::ranges::sort(remarked_rows_);
    if (only_remarks_)
        endResetModel();
    else if (rows_ > 0)
        emit dataChanged(index(0, remark_column()), index(rows_ - 1, remark_column()));
}

void DatasetModel::provide(DatasetBlock block) {
    const auto found = blocks_.find(block.first / block_rows);
    if (found == blocks_.end() || block.first % block_rows != 0 || block.cells.empty()) return;
    *found = std::move(block.cells);
    if (columns_.empty()) return;
    const int count = int(found->size());
    if (!only_remarks_) {
        const int last = std::min(block.first + count, rows_) - 1;
        if (last >= block.first) emit dataChanged(index(block.first, 0), index(last, remark_column() - 1));
        return;
    }
    const auto begin = std::ranges::lower_bound(remarked_rows_, block.first);
    const auto end = std::ranges::lower_bound(remarked_rows_, block.first + count);
    if (begin != end)
        emit dataChanged(index(int(begin - remarked_rows_.begin()), 0),
                         index(int(end - remarked_rows_.begin()) - 1, remark_column() - 1));
}

void DatasetModel::set_only_remarks(bool only) {
    if (only == only_remarks_) return;
    beginResetModel();
    only_remarks_ = only;
    endResetModel();
}

const QStringList* DatasetModel::cells(int source) const {
    const int block = source / block_rows;
    const auto found = blocks_.find(block);
    if (found == blocks_.end()) {
        if (blocks_.size() >= qsizetype(kept_blocks)) {
            blocks_.remove(recent_.back());
            recent_.pop_back();
        }
        blocks_.insert(block, {});
        recent_.push_front(block);
        emit wanted(block * block_rows, std::min(block_rows, rows_ - block * block_rows));
        return nullptr;
    }
    if (recent_.front() != block) recent_.splice(recent_.begin(), recent_, std::ranges::find(recent_, block));
    const int at = source % block_rows;
    return at < int(found->size()) ? &(*found)[at] : nullptr;
}

QString DatasetModel::role_of(const std::string& column) const {
    if (column.empty()) return {};
    if (column == roles_.prompt) return tr("prompt");
    if (column == roles_.input) return tr("input");
    if (column == roles_.completion) return tr("answer");
    if (column == roles_.messages) return tr("messages");
    if (column == roles_.system) return tr("system");
    if (column == roles_.text) return tr("text");
    if (column == roles_.label) return tr("label");
    return {};
}

int DatasetModel::rowCount(const QModelIndex& parent) const {
    if (parent.isValid()) return 0;
    return only_remarks_ ? int(remarked_rows_.size()) : rows_;
}

int DatasetModel::columnCount(const QModelIndex& parent) const {
    return parent.isValid() || columns_.empty() ? 0 : int(columns_.size()) + 1;
}

QVariant DatasetModel::data(const QModelIndex& index, int role) const {
    if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
    const int source = source_row(index.row());
    if (role == RowRole) return source;
    if (role == RemarkRole) return remarks_.value(source);
    if (role != Qt::DisplayRole && role != Qt::ToolTipRole) return {};
    if (index.column() == remark_column()) return remarks_.contains(source) ? remarks_.value(source) : QVariant();
    const QStringList* row = cells(source);
    if (!row) return role == Qt::DisplayRole ? QVariant(u"…"_s) : QVariant();
    const QString cell = row->value(index.column());
    if (role == Qt::DisplayRole) return format::one_line(cell, shown_characters);
    return u"<p>%1</p>"_s.arg(cell.left(2000).toHtmlEscaped().replace(u'\n', u"<br>"_s));
}

QVariant DatasetModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (section < 0) return {};
    if (orientation == Qt::Vertical)
        return role == Qt::DisplayRole && section < rowCount() ? format::count(source_row(section) + 1) : QVariant();
    if (section > remark_column()) return {};
    if (section == remark_column()) return role == Qt::DisplayRole ? tr("Remark") : QVariant();
    const auto& column = columns_[section];
    const QString name = text(column.name), part = role_of(column.name);
    if (role == Qt::DisplayRole) return part.isEmpty() ? name : u"%1 (%2)"_s.arg(name, part);
    if (role == Qt::AccessibleTextRole)
        return part.isEmpty() ? tr("%1, not used").arg(name) : tr("%1, used as %2").arg(name, part);
    return {};
}

}  // namespace qlora::ui
