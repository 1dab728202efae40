#pragma once
// The same prompt to the base and to the tuned model, side by side, as the tokens come.

#include <QWidget>

#include "ui/engine/chat_service.h"
#include "ui/models/chat_model.h"

class QLabel;
class QListView;
class QPlainTextEdit;
class QPushButton;

namespace qlora::ui {

class ElidedLabel;
class NumberBox;

class EvaluateChat : public QWidget {
    Q_OBJECT

  public:
    explicit EvaluateChat(ChatService& service, QWidget* parent = nullptr);

    void set_run(const QString& name);              // another run: the conversation starts anew
    void set_blocked(const QString& why_not);       // empty: free to ask
    bool answering() const { return answering_; }
    void ask(const QString& prompt);

  signals:
    void answering_changed(bool answering);

  protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

  private:
    QWidget* make_controls();
    QWidget* make_pane(Side side);
    QWidget* make_input();
    ChatModel& model(Side side) { return side == Side::base ? base_ : tuned_; }
    void follow(QListView* list);
    void end();
    void clear();
    void refresh();

    ChatService& service_;
    ChatModel base_, tuned_;
    bool answering_ = false;
    QString blocked_;
    ElidedLabel* tuned_name_ = nullptr;
    NumberBox *temperature_, *top_p_, *max_tokens_, *seed_;
    QPlainTextEdit* prompt_;
    QPushButton *send_, *clear_;
};

}  // namespace qlora::ui
