#pragma once
// How good the answers are over optimizer steps: accuracy, F1, exact match and chrF, all out of 100, one curve each.

#include <map>
#include <string>

#include "ui/charts/chart.h"

namespace qlora::ui {

class QualityChart : public Chart {
    Q_OBJECT
  public:
    explicit QualityChart(QWidget* parent = nullptr);

    void clear();  // no curves
    // Of an evaluation's metrics those that have a place here; the first evaluation settles the curves.
    void add(std::int64_t step, const std::map<std::string, double>& metrics);

  private:
    std::vector<std::string> keys_;  // of the curves
};

}  // namespace qlora::ui
