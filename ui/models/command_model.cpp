#include "ui/models/command_model.h"

#include <algorithm>
#include <numeric>

namespace qlora::ui {

int match_score(const QString& typed, const QString& text) {
    if (typed.isEmpty()) return 0;
    if (const auto at = text.indexOf(typed, 0, Qt::CaseInsensitive); at >= 0) {
        const bool starts_word = at == 0 || !text[at - 1].isLetterOrNumber();
        return (starts_word ? 2000 : 1000) - int(std::min<qsizetype>(at, 500)) -
               int(std::min<qsizetype>(text.size(), 200)) / 4;
    }
    qsizetype from = 0;
    int score = 400;
    for (const QChar letter : typed) {
        if (letter.isSpace()) continue;
        const auto at = text.indexOf(letter, from, Qt::CaseInsensitive);
        if (at < 0) return -1;
        score -= int(at - from);
        from = at + 1;
    }
    return std::max(score, 0);
}

void CommandModel::set_commands(std::vector<Command> commands) {
    beginResetModel();
    commands_ = std::move(commands);
    shown_.resize(commands_.size());
    std::iota(shown_.begin(), shown_.end(), std::size_t{0});
    endResetModel();
}

void CommandModel::set_filter(const QString& text) {
    std::vector<std::pair<int, std::size_t>> scored;
    for (std::size_t i = 0; i < commands_.size(); ++i) {
        const int name = match_score(text.trimmed(), commands_[i].name);
        const int detail = match_score(text.trimmed(), commands_[i].detail);
        const int best =
            std::max(name, detail > 800 ? detail / 2 : -1);  // in details only whole stretches count
        if (best >= 0) scored.emplace_back(-best, i);
    }
    std::stable_sort(scored.begin(), scored.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    beginResetModel();
    shown_.clear();
    for (const auto& [score, index] : scored) shown_.push_back(index);
    endResetModel();
}

const Command* CommandModel::command(const QModelIndex& index) const {
    if (!index.isValid() || index.row() >= int(shown_.size())) return nullptr;
    return &commands_[shown_[std::size_t(index.row())]];
}

int CommandModel::rowCount(const QModelIndex& parent) const {
    return parent.isValid() ? 0 : int(shown_.size());
}

QVariant CommandModel::data(const QModelIndex& index, int role) const {
    const Command* command = this->command(index);
    if (!command) return {};
    switch (role) {
        case Qt::DisplayRole:
        case Qt::AccessibleTextRole:
            return command->name;
        case Qt::AccessibleDescriptionRole:
        case DetailRole:
            return command->detail;
        case IconRole:
            return command->icon;
        case KeysRole:
            return command->keys;
        case WhyNotRole:
            return command->why_not ? command->why_not() : QString();
        default:
            return {};
    }
}

Qt::ItemFlags CommandModel::flags(const QModelIndex& index) const {
    const Command* command = this->command(index);
    if (!command) return Qt::NoItemFlags;
    const bool can = !command->why_not || command->why_not().isEmpty();
    return can ? Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemNeverHasChildren
               : Qt::ItemNeverHasChildren;
}

}  // namespace qlora::ui
