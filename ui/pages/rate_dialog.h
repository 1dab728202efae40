#pragma once
// The learning-rate range test: draws the loss over the rate as it grows, and offers what it suggests.

#include <QDialog>
#include <vector>

#include "ui/engine/search_service.h"

class QLabel;
class QPushButton;

namespace qlora::ui {

class Chart;
class ElidedLabel;
class ErrorPanel;
class NumberBox;

class RateDialog : public QDialog {
    Q_OBJECT

  public:
    // The service outlives it. Closing it stops the test.
    RateDialog(const recipe::Recipe& recipe, SearchService& service, QWidget* parent = nullptr);

    double suggested() const { return suggested_; }  // 0: none
    Chart* chart() const { return chart_; }
    bool testing() const { return service_.testing(); }
    void set_steps(int steps);
    void start();  // what the button does

  signals:
    void taken(double rate);

  protected:
    void done(int result) override;

  private:
    void toggle();
    void add(const search::RatePoint& point);
    void show_curve(const search::RateCurve& curve);
    void refresh();

    const recipe::Recipe recipe_;
    SearchService& service_;
    std::vector<search::RatePoint> points_;
    double suggested_ = 0;
    Chart* chart_;
    ErrorPanel* error_;
    NumberBox *from_, *to_, *steps_;
    ElidedLabel* state_;
    QLabel* verdict_;
    QPushButton *run_, *take_;
};

}  // namespace qlora::ui
