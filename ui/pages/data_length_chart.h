#pragma once
// How long the rows are, in tokens, against the limit at which they are cut.

#include "core/data/report.h"
#include "ui/charts/chart.h"

namespace qlora::ui {

class LengthChart : public Chart {
    Q_OBJECT

  public:
    explicit LengthChart(QWidget* parent = nullptr);
    void set_histogram(const data::LengthHistogram& histogram);

    static constexpr int lengths = 0;  // the curve
};

}  // namespace qlora::ui
