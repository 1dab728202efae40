#include "ui/pages/data_length_chart.h"

#include <algorithm>

#include "ui/format/format.h"
#include "ui/theme/tokens.h"

namespace qlora::ui {

namespace {

// The sides of a bar: x must rise, and two tokens never lie closer than 1.
constexpr double step_width = 1e-3;

QString rows_text(double value) { return format::count(std::int64_t(value)); }

}  // namespace

LengthChart::LengthChart(QWidget* parent) : Chart(tr("Row lengths"), tr("tokens"), tr("rows"), parent) {
    Style kept;
    kept.color = [] { return theme::current().accent; };
    kept.width = 1.5;
    kept.fill = [] { return QBrush(theme::current().tint(theme::current().accent, 0.30)); };
    kept.text = rows_text;
    add_curve(tr("whole"), kept);

    Style cut;
    cut.color = [] { return theme::current().warning; };
    cut.width = 1.5;
    cut.fill = [] { return QBrush(theme::current().warning, Qt::BDiagPattern); };
    cut.text = rows_text;
    add_curve(tr("cut"), cut);

    set_y_from_zero(true);
    set_y_text([](double value) { return value == std::int64_t(value) ? format::count(std::int64_t(value)) : QString(); });
    setAccessibleName(tr("Histogram of row lengths in tokens"));
}

void LengthChart::set_histogram(const data::LengthHistogram& histogram) {
    std::vector<double> x[2], y[2];
    const double width = double(histogram.bin_width), limit = double(histogram.limit);
    const auto bar = [&](int curve, double left, double right, double rows) {
        if (x[curve].empty()) {
            x[curve].push_back(left);
            y[curve].push_back(0);
        }
        x[curve].insert(x[curve].end(), {std::max(left, x[curve].back()) + step_width, right - step_width});
        y[curve].insert(y[curve].end(), {rows, rows});
    };
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        const double left = double(i) * width, right = left + width;
        bar(histogram.limit > 0 && left > limit ? beyond : within, left, right, double(histogram.counts[i]));
    }
    for (int curve : {within, beyond}) {
        if (!x[curve].empty()) {
            x[curve].push_back(x[curve].back() + step_width);
            y[curve].push_back(0);
        }
    }
    // The limit belongs into the picture unless that would press the bars together.
    const double end = double(histogram.counts.size()) * width;
    const bool limit_shown = histogram.limit > 0 && !histogram.counts.empty() && limit <= 2 * end;
    if (limit_shown && limit > end && !x[within].empty()) {
        x[within].push_back(limit + width / 2);
        y[within].push_back(0);
    }
    for (int curve : {within, beyond}) set_points(curve, std::move(x[curve]), std::move(y[curve]));
    std::vector<Mark> marks;
    if (limit_shown)
        marks.push_back({limit, tr("limit %1").arg(format::count(std::int64_t(histogram.limit)))});
    set_marks(QStringLiteral("limit"), marks, [] { return theme::current().bad; }, Qt::DashLine);
    fit();
}

}  // namespace qlora::ui
