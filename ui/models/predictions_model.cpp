#include "ui/models/predictions_model.h"

#include <algorithm>

#include "ui/format/format.h"

namespace qlora::ui {

namespace {

constexpr int shown_characters = 240;

QString text(const std::string& utf8) { return QString::fromStdString(utf8); }

}  // namespace

QString contender_text(const std::string& name) {
    if (name == "base") return PredictionsModel::tr("Base");
    if (name == "tuned") return PredictionsModel::tr("Tuned");
    return text(name);
}

bool tells_numbers(const evaluate::Report& report) {
    return std::ranges::any_of(report.contenders, [](const evaluate::Contender& contender) {
        return contender.regression || contender.metrics.contains("mean_absolute_error");
    });
}

void PredictionsModel::set_report(const evaluate::Report& report) {
    beginResetModel();
    report_ = report;
    numbers_ = tells_numbers(report);
    endResetModel();
}

int PredictionsModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : int(report_.questions.size());
}

int PredictionsModel::columnCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : first_contender + int(report_.contenders.size());
}

QString PredictionsModel::cell(int row, int column) const {
    const auto at = [row](const std::vector<std::string>& list) {
        return row < int(list.size()) ? text(list[std::size_t(row)]) : QString();
    };
    if (column == text_column) return at(report_.questions);
    if (column == expected_column) return at(report_.expected);
    return at(report_.contenders[std::size_t(column - first_contender)].answers);
}

bool PredictionsModel::is_wrong(int row, int column) const {
    return cell(row, column).trimmed() != cell(row, expected_column).trimmed();
}

QVariant PredictionsModel::data(const QModelIndex& index, int role) const {
    if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
    const int row = index.row(), column = index.column();
    const QString shown = cell(row, column);
    const bool given = column < first_contender ||
                       row < int(report_.contenders[std::size_t(column - first_contender)].answers.size());
    const bool judged = column >= first_contender && given && !numbers_;
    const QString words = !given ? QStringLiteral("–") : shown.isEmpty() ? tr("(none)") : format::one_line(shown, shown_characters);
    switch (role) {
        case Qt::DisplayRole: return words;
        case Qt::AccessibleTextRole:
            return !judged ? words : is_wrong(row, column) ? tr("%1, wrong").arg(words) : tr("%1, right").arg(words);
        case Qt::ToolTipRole:
            return QStringLiteral("<p>%1</p>").arg(shown.left(2000).toHtmlEscaped().replace(QLatin1Char('\n'), QLatin1String("<br>")));
        case WrongRole: return judged ? QVariant(is_wrong(row, column)) : QVariant();
        case AnyWrongRole: {
            const int last = columnCount() - 1;
            return last >= first_contender && data(this->index(row, last), WrongRole).toBool();
        }
        case SortRole: {
            bool number = false;
            const double value = shown.toDouble(&number);
            return numbers_ && column != text_column && number ? QVariant(value) : QVariant(shown);
        }
        default: return {};
    }
}

QVariant PredictionsModel::headerData(int section, Qt::Orientation orientation, int role) const {
    if (orientation != Qt::Horizontal || section < 0 || section >= columnCount()) return {};
    if (role == Qt::TextAlignmentRole) return int(Qt::AlignLeft | Qt::AlignVCenter);
    if (role != Qt::DisplayRole) return {};
    if (section == text_column) return tr("Text");
    if (section == expected_column) return tr("In the data");
    return contender_text(report_.contenders[std::size_t(section - first_contender)].name);
}

}  // namespace qlora::ui
