#pragma once
// One quantity over optimizer steps: learning rate, gradient norm, tokens a second.

#include "ui/charts/chart.h"

namespace qlora::ui {

class SeriesChart : public Chart {
    Q_OBJECT
  public:
    SeriesChart(const QString& title, const QString& unit, QWidget* parent = nullptr);
    void add(std::int64_t step, double value);
    void set(std::vector<double> steps, std::vector<double> values);
};

}  // namespace qlora::ui
