#include "ui/models/chat_model.h"

#include "ui/format/format.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

ChatModel::ChatModel(QString name, QObject* parent) : QAbstractListModel(parent), name_(std::move(name)) {}

void ChatModel::ask(const QString& prompt) {
    const int row = int(entries_.size());
    beginInsertRows({}, row, row + 1);
    entries_.push_back({.model = false, .text = prompt, .figure = {}, .state = State::done});
    entries_.push_back({.model = true, .text = {}, .figure = {}, .state = State::streaming});
    endInsertRows();
}

void ChatModel::append(const QString& piece) {
    if (!streaming() || piece.isEmpty()) return;
    entries_.back().text += piece;
    changed();
}

void ChatModel::finish(const evaluate::GenerateResult& result) {
    if (!streaming()) return;
    Entry& answer = entries_.back();
    answer.state = State::done;
    answer.text = QString::fromStdString(result.text);
    const double rate = result.seconds > 0 ? double(result.tokens) / result.seconds : 0;
    answer.figure = result.tokens == 1 ? tr("1 token") : tr("%1 tokens").arg(format::count(result.tokens));
    if (rate > 0) answer.figure += u" · "_s + format::rate(rate);
    if (result.stop == "length") answer.figure += u" · "_s + tr("cut at the limit");
    if (result.stop == "stopped") answer.figure += u" · "_s + tr("stopped by you");
    changed();
}

void ChatModel::stop() {
    if (!streaming()) return;
    entries_.back().state = State::done;
    entries_.back().figure = tr("stopped by you");
    changed();
}

void ChatModel::fail(const QString& message) {
    if (!streaming()) return;
    entries_.back().state = State::failed;
    entries_.back().text = message;
    changed();
}

void ChatModel::clear() {
    if (entries_.empty()) return;
    beginRemoveRows({}, 0, int(entries_.size()) - 1);
    entries_.clear();
    endRemoveRows();
}

bool ChatModel::streaming() const { return !entries_.empty() && entries_.back().state == State::streaming; }

std::vector<evaluate::Message> ChatModel::history() const {
    std::vector<evaluate::Message> messages;
    for (std::size_t i = 0; i + 1 < entries_.size(); i += 2) {
        const Entry& prompt = entries_[i];
        const Entry& answer = entries_[i + 1];
        if (answer.state == State::failed) continue;
        messages.push_back({"user", prompt.text.toStdString()});
        if (answer.state == State::done) messages.push_back({"assistant", answer.text.toStdString()});
    }
    return messages;
}

int ChatModel::rowCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : int(entries_.size()); }

QVariant ChatModel::data(const QModelIndex& index, int role) const {
    if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
    const Entry& entry = entries_[index.row()];
    switch (role) {
        case Qt::DisplayRole: return entry.text;
        case Qt::AccessibleTextRole: return u"%1: %2"_s.arg(entry.model ? name_ : tr("You"), entry.text);
        case SpeakerRole: return entry.model;
        case StreamingRole: return entry.state == State::streaming;
        case FailedRole: return entry.state == State::failed;
        case FigureRole: return entry.figure;
        default: return {};
    }
}

void ChatModel::changed() {
    const QModelIndex last = index(int(entries_.size()) - 1);
    emit dataChanged(last, last);
}

}  // namespace qlora::ui
