#pragma once
// What a run taught the model: held-out figures, example answers, and a chat with base and tuned model side by side; with
// a classifier, a text of one's own instead.

#include <QWidget>
#include <map>
#include <utility>
#include <vector>

#include "ui/engine/chat_service.h"
#include "ui/engine/runs_service.h"

class QComboBox;
class QStackedWidget;

namespace qlora::ui {

class ErrorPanel;
class EvaluateChat;
class EvaluateScoreboard;
class EvaluateTry;
class ProgressStrip;
class SegmentedControl;

class EvaluatePage : public QWidget {
    Q_OBJECT

  public:
    // Both outlive the page.
    EvaluatePage(ChatService& chat, RunsService& runs, QWidget* parent = nullptr);

    void choose(const QString& run_folder);
    // While a run trains, neither figures nor answers: the memory is its own. Empty: free.
    void set_busy(const QString& why_not);

  signals:
    void train_requested();  // no run has an adapter yet

  protected:
    void showEvent(QShowEvent* event) override;

  private:
    QWidget* make_heading();
    void connect_services();
    void take(const std::vector<RunEntry>& entries);
    void run_chosen();
    void show_report(const evaluate::Report& report);
    void measure();
    void set_measuring(bool measuring);
    void take_answering(bool answering);
    bool answering() const;
    void refresh();

    ChatService& chat_service_;
    RunsService& runs_service_;
    RunsModel* model_;
    // Measured since the program started, by run and steps done: a resumed run is measured anew.
    std::map<std::pair<std::int64_t, std::int64_t>, evaluate::Report> reports_;
    std::int64_t run_ = 0, steps_ = 0;  // run_ 0: none
    QString wanted_, busy_;             // wanted_: the folder asked for before it was listed
    bool measuring_ = false;

    QComboBox* runs_;
    SegmentedControl* view_;
    ProgressStrip* progress_;
    ErrorPanel* error_;
    QStackedWidget *stack_, *views_;
    EvaluateScoreboard* scoreboard_;
    QStackedWidget* talk_;  // the second view: a chat, or a text to classify
    EvaluateChat* chat_;
    EvaluateTry* try_;
};

}  // namespace qlora::ui
