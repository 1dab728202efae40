#pragma once
// The two panels beside the charts: what the run doctor says, and the answers at each evaluation.

#include <QScrollArea>
#include <vector>

#include "ui/models/live_run.h"

class QComboBox;
class QVBoxLayout;

namespace qlora::ui {

class LiveHealth : public QScrollArea {
    Q_OBJECT

  public:
    explicit LiveHealth(QWidget* parent = nullptr);
    void set_findings(const std::vector<Finding>& findings);

  private:
    QVBoxLayout* column_;
    std::vector<Finding> shown_;
};

class LiveAnswers : public QWidget {
    Q_OBJECT

  public:
    explicit LiveAnswers(QWidget* parent = nullptr);
    void clear();
    void add(const train::Evaluated& evaluation);  // without samples: nothing happens

  private:
    void show_evaluation(int index);
    void add_answers(const train::Sample& sample, QVBoxLayout& column);
    // `trained`: a tuned model has answered too; `numbers`: labels are values, neither right nor wrong.
    void add_labels(const train::Sample& sample, bool numbers, bool trained, QVBoxLayout& column);

    std::vector<train::Evaluated> evaluations_;
    QComboBox* choice_;
    QScrollArea* scroll_;
};

}  // namespace qlora::ui
