#include "ui/charts/series_chart.h"

#include "ui/theme/tokens.h"

namespace qlora::ui {

SeriesChart::SeriesChart(const QString& title, const QString& unit, QWidget* parent)
    : Chart(title, tr("step"), unit, parent) {
    add_curve(QString(), {.color = [] { return theme::current().accent; }, .width = 1.6, .fill = {}, .text = {}});
}

void SeriesChart::add(std::int64_t step, double value) { append(0, double(step), value); }

void SeriesChart::set(std::vector<double> steps, std::vector<double> values) {
    set_points(0, std::move(steps), std::move(values));
}

}  // namespace qlora::ui
