#include "ui/models/evaluation_model.h"

#include <algorithm>

namespace qlora::ui {

void EvaluationModel::set_report(const evaluate::Report& report) {
    beginResetModel();
    report_ = report;
    endResetModel();
}

const evaluate::Contender* EvaluationModel::contender(const char* name) const {
    const auto found = std::ranges::find(report_.contenders, name, &evaluate::Contender::name);
    return found == report_.contenders.end() ? nullptr : &*found;
}

QString EvaluationModel::answer(const char* name, int row) const {
    const auto* contender = this->contender(name);
    return contender && row < int(contender->answers.size()) ? QString::fromStdString(contender->answers[row]) : QString();
}

int EvaluationModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : int(report_.questions.size());
}

QVariant EvaluationModel::data(const QModelIndex& index, int role) const {
    if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
    const int row = index.row();
    const QString question = QString::fromStdString(report_.questions[row]);
    const QString expected =
        row < int(report_.expected.size()) ? QString::fromStdString(report_.expected[row]) : QString();
    switch (role) {
        case Qt::DisplayRole: return question;
        case ExpectedRole: return expected;
        case BaseRole: return answer("base", row);
        case TunedRole: return answer("tuned", row);
        case Qt::AccessibleTextRole:
            return tr("%1. Expected: %2. Base: %3. Tuned: %4")
                .arg(question, expected, answer("base", row), answer("tuned", row));
        default: return {};
    }
}

}  // namespace qlora::ui
