#pragma once
// Ctrl+K: type a few letters of any action or setting, Enter runs it.

#include <QFrame>

#include "ui/models/command_model.h"

class QLineEdit;
class QListView;

namespace qlora::ui {

class CommandPalette : public QFrame {
    Q_OBJECT

  public:
    explicit CommandPalette(QWidget* window);  // hidden; over the window's upper middle

    void open(std::vector<Command> commands);
    QLineEdit* line() const { return line_; }
    QListView* list() const { return list_; }

  protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

  private:
    void run(const QModelIndex& index);
    void select_first();

    CommandModel* model_;
    QLineEdit* line_;
    QListView* list_;
};

}  // namespace qlora::ui
