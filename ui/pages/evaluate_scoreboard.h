#pragma once
// Held-out perplexity of base and tuned model in big figures, and example answers side by side.

#include <QWidget>

#include "core/evaluate/chat.h"

class QLabel;
class QPushButton;
class QStackedWidget;

namespace qlora::ui {

class ElidedLabel;
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
    struct Figure {
        QWidget* card;
        QLabel* value;
        ElidedLabel* detail;
    };
    Figure make_figure(const QString& name, const QString& help);
    void show_contender(const Figure& figure, const evaluate::Contender* contender);
    void refresh();

    EvaluationModel* model_;
    QString blocked_;
    Figure base_, tuned_, ratio_;
    QStackedWidget* stack_;
    NumberBox* answers_;
    ElidedLabel* note_;
    QPushButton* measure_;
};

}  // namespace qlora::ui
