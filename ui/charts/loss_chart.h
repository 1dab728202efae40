#pragma once
// Training and validation loss over optimizer steps, the best step and the checkpoints marked, other runs laid over.

#include "ui/charts/chart.h"

namespace qlora::ui {

class LossChart : public Chart {
    Q_OBJECT
  public:
    explicit LossChart(QWidget* parent = nullptr);

    void clear();
    void add_train(std::int64_t step, double loss);
    void add_validation(std::int64_t step, double loss);
    void set_train(std::vector<double> steps, std::vector<double> losses);
    void set_validation(std::vector<double> steps, std::vector<double> losses);
    // 0: none. `turned`: the validation loss rises from that step on.
    void set_best(std::int64_t step, bool turned = false);
    void set_checkpoints(const std::vector<std::int64_t>& steps);

    // Further runs in the fixed order of colours and dashes.
    void clear_runs();
    void add_run(const QString& name, std::vector<double> steps, std::vector<double> losses);

    static constexpr int train = 0, validation = 1, first_run = 2;
};

}  // namespace qlora::ui
