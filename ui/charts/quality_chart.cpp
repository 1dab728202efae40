#include "ui/charts/quality_chart.h"

#include <cmath>
#include <iterator>

#include "ui/models/metric.h"
#include "ui/theme/tokens.h"

namespace qlora::ui {

namespace {

constexpr const char* drawn[] = {"accuracy", "micro_f1", "macro_f1", "chrf", "exact_match"};
constexpr Qt::PenStyle dashes[] = {Qt::SolidLine, Qt::DashLine, Qt::DotLine, Qt::DashDotLine, Qt::DashDotDotLine};

double of_hundred(const std::string& key, double value) {
    return metric_of(key).unit == Metric::Unit::share ? 100 * value : value;
}

}  // namespace

QualityChart::QualityChart(QWidget* parent) : Chart(tr("Quality"), tr("step"), tr("of 100"), parent) {}

void QualityChart::clear() {
    keys_.clear();
    remove_curves(0);
    fit();
}

void QualityChart::add(std::int64_t step, const std::map<std::string, double>& metrics) {
    if (keys_.empty())
        for (const char* key : drawn)
            if (metrics.contains(key)) {
                const std::size_t index = keys_.size();
                keys_.emplace_back(key);
                add_curve(metric_of(key).name,
                          {.color = [index] { return index == 0 ? theme::current().tag(MemoryTag::adapters)
                                                                : theme::current().further_runs[index - 1]; },
                           .dash = dashes[index % std::size(dashes)],
                           .markers = true,
                           .fill = {},
                           .text = [](double value) { return QString::number(value, 'f', 1); }});
            }
    for (std::size_t i = 0; i < keys_.size(); ++i) {
        const auto value = metrics.find(keys_[i]);
        append(int(i), double(step), value == metrics.end() ? NAN : of_hundred(keys_[i], value->second));
    }
}

}  // namespace qlora::ui
