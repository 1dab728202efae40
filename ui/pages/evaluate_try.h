#pragma once
// A text of one's own to the base and to the tuned classifier: each one's labels with their probabilities.

#include <QWidget>

#include "ui/engine/chat_service.h"
#include "ui/models/label_scores_model.h"

class QLabel;
class QPlainTextEdit;
class QPushButton;
class QStackedWidget;

namespace qlora::ui {

class ElidedLabel;

class EvaluateTry : public QWidget {
    Q_OBJECT

  public:
    explicit EvaluateTry(ChatService& service, QWidget* parent = nullptr);

    void set_run(const QString& name);         // another run: what was said is forgotten
    void set_values(bool values) { values_ = values; }  // of a regression: scores are no probabilities
    void set_blocked(const QString& why_not);  // empty: free to ask
    bool answering() const { return answering_; }
    void ask(const QString& text);

  signals:
    void answering_changed(bool answering);

  protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

  private:
    struct Pane {
        LabelScoresModel model;
        ElidedLabel* name = nullptr;
        QStackedWidget* stack = nullptr;
        QLabel* hint = nullptr;
    };
    QWidget* make_pane(Side side);
    QWidget* make_input();
    Pane& pane(Side side) { return side == Side::base ? base_ : tuned_; }
    void take(Side side, const evaluate::GenerateResult& result);
    void say(Side side, const QString& hint);
    void end();
    void refresh();

    ChatService& service_;
    Pane base_, tuned_;
    bool answering_ = false, values_ = false;
    QString blocked_;
    QPlainTextEdit* text_;
    QPushButton* send_;
};

}  // namespace qlora::ui
