#include "ui/models/class_figures_model.h"

#include "ui/format/format.h"
#include "ui/models/metric.h"

namespace qlora::ui {

namespace {

QString share(double value) { return metric_of("accuracy").text(value); }

}  // namespace

void ClassFiguresModel::set_classes(const std::vector<evaluate::ClassFigures>& classes) {
    beginResetModel();
    classes_ = classes;
    endResetModel();
}

int ClassFiguresModel::rowCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : int(classes_.size()); }
int ClassFiguresModel::columnCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : column_count; }

QVariant ClassFiguresModel::data(const QModelIndex& index, int role) const {
    if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
    const auto& one = classes_[std::size_t(index.row())];
    const QString name = QString::fromStdString(one.name);
    const bool text = role == Qt::DisplayRole;
    if (role == Qt::TextAlignmentRole)
        return index.column() == name_column ? QVariant() : QVariant(Qt::AlignRight | Qt::AlignVCenter);
    if (role == Qt::ToolTipRole)
        return QStringLiteral("<p>%1</p>").arg(tr("“%1”: %2 of %3 rows found; %4 of %5 said to be it are")
            .arg(name.toHtmlEscaped(), format::count(one.right), format::count(one.rows), format::count(one.right),
                 format::count(one.predicted)));
    if (!text && role != SortRole) return {};
    switch (index.column()) {
        case name_column: return name;
        case precision_column: return text ? QVariant(share(one.precision)) : one.precision;
        case recall_column: return text ? QVariant(share(one.recall)) : one.recall;
        case f1_column: return text ? QVariant(share(one.f1)) : one.f1;
        case rows_column: return text ? QVariant(format::count(one.rows)) : double(one.rows);
        case predicted_column: return text ? QVariant(format::count(one.predicted)) : double(one.predicted);
        default: return {};
    }
}

QVariant ClassFiguresModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal || section < 0 || section >= column_count) return {};
    if (role == Qt::TextAlignmentRole)
        return int(section == name_column ? Qt::AlignLeft | Qt::AlignVCenter : Qt::AlignRight | Qt::AlignVCenter);
    const std::pair<QString, QString> words[column_count] = {
        {tr("Class"), tr("As the data names it")},
        {tr("Precision"), tr("Of the rows said to be of this class, the share that are")},
        {tr("Recall"), tr("Of this class's rows, the share that is found")},
        {tr("F1"), tr("The harmonic mean of precision and recall")},
        {tr("Rows"), tr("Rows of this class in the data")},
        {tr("Said"), tr("Rows that the model says are of this class")},
    };
    if (role == Qt::DisplayRole) return words[section].first;
    return role == Qt::ToolTipRole ? QVariant(words[section].second) : QVariant();
}

}  // namespace qlora::ui
