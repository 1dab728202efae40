#include "ui/pages/data_length_chart.h"

#include <algorithm>

#include "ui/format/format.h"
#include "ui/theme/tokens.h"

namespace qlora::ui {

namespace {

// The sides of a bar: x must rise, and two lengths never lie closer than 1.
constexpr double side = 1e-3;

QString rows_text(double value) { return format::count(std::int64_t(value)); }

}  // namespace

LengthChart::LengthChart(QWidget* parent) : Chart(tr("Lengths"), tr("tokens"), tr("rows"), parent) {
    Style style;
    style.color = [] { return theme::current().accent; };
    style.width = 1.5;
    style.fill = [] { return QBrush(theme::current().tint(theme::current().accent, 0.30)); };
    style.text = rows_text;
    add_curve(tr("rows"), style);
    set_y_from_zero(true);
    set_y_text([](double value) { return value == double(std::int64_t(value)) ? rows_text(value) : QString(); });
    setAccessibleName(tr("Histogram of row lengths in tokens"));
}

void LengthChart::set_histogram(const data::LengthHistogram& histogram) {
    std::vector<double> x, y;
    const auto point = [&](double at, double rows) {
        x.push_back(at);
        y.push_back(rows);
    };
    const double width = double(histogram.bin_width), limit = double(histogram.limit);
    const double end = double(histogram.counts.size()) * width;
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        if (i == 0) point(0, 0);
        const double left = double(i) * width, rows = double(histogram.counts[i]);
        point(left + side, rows);
        point(left + width - side, rows);
    }
    if (!x.empty()) point(end, 0);
    // The limit belongs into the picture unless that would press the bars together.
    const bool limit_shown = histogram.limit > 0 && !x.empty() && limit <= 2 * end;
    if (limit_shown && limit > end) point(limit + width / 2, 0);
    set_points(lengths, std::move(x), std::move(y));
    std::vector<Mark> marks;
    if (limit_shown) marks.push_back({limit, tr("limit %1").arg(format::count(std::int64_t(histogram.limit)))});
    set_marks(QStringLiteral("limit"), marks, [] { return theme::current().bad; }, Qt::DashLine);
    fit();
}

}  // namespace qlora::ui
