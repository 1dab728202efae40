#pragma once
// Every action and setting by name, for the command palette; filtered by the letters typed, best match first.

#include <QAbstractListModel>
#include <functional>
#include <vector>

namespace qlora::ui {

struct Command {
    QString name, detail, icon, keys;
    std::function<void()> run;
    std::function<QString()> why_not;  // empty function or empty text: it can be run
};

class CommandModel : public QAbstractListModel {
    Q_OBJECT

  public:
    enum Role { DetailRole = Qt::UserRole + 1, IconRole, KeysRole, WhyNotRole };

    using QAbstractListModel::QAbstractListModel;
    void set_commands(std::vector<Command> commands);
    void set_filter(const QString& text);
    const Command* command(const QModelIndex& index) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    Qt::ItemFlags flags(const QModelIndex& index) const override;

  private:
    std::vector<Command> commands_;
    std::vector<std::size_t> shown_;
};

// How well `typed` fits `text`: higher is better, below 0: its letters are not all in it in order.
int match_score(const QString& typed, const QString& text);

}  // namespace qlora::ui
