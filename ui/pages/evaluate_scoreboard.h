#pragma once
// Held-out figures of base and tuned model as their task has them, and example answers side by side: for a classifier its
// classes and predictions.

#include <QWidget>

#include "core/evaluate/chat.h"

class QLabel;
class QPushButton;
class QStackedWidget;

namespace qlora::ui {

class ContenderCard;
class ElidedLabel;
class EvaluateClasses;
class EvaluationModel;
class NumberBox;

class EvaluateScoreboard : public QWidget {
    Q_OBJECT

  public:
    explicit EvaluateScoreboard(QWidget* parent = nullptr);

    void set_report(const evaluate::Report& report);  // without contenders: not measured yet
    void set_blocked(const QString& why_not);         // empty: free to measure
    evaluate::ReportOptions options() const;

  signals:
    void measure_requested();

  private:
    void compare(const evaluate::Contender* base, const evaluate::Contender* tuned, const std::string& key);
    void refresh();

    EvaluationModel* model_;
    QString blocked_;
    ContenderCard *base_, *tuned_, *against_;
    QStackedWidget* stack_;
    EvaluateClasses* classes_;
    NumberBox* answers_;
    ElidedLabel* note_;
    QLabel *hint_, *answers_label_;
    QPushButton* measure_;
};

}  // namespace qlora::ui
