#pragma once
// Bytes by tag over time, stacked in the order of the tags, hatched as in the memory bar; the predicted peak as a line.

#include "core/base/memory_tag.h"
#include "ui/charts/chart.h"

namespace qlora::ui {

class MemoryChart : public Chart {
    Q_OBJECT
  public:
    explicit MemoryChart(QWidget* parent = nullptr);
    void clear();
    void add(double seconds, const MemoryBytes& bytes);
    void set_predicted_peak(std::int64_t bytes);  // 0: none

  private:
    std::int64_t predicted_ = 0;
    double last_ = 0;
};

}  // namespace qlora::ui
