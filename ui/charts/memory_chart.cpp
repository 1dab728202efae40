#include "ui/charts/memory_chart.h"

#include "ui/format/format.h"
#include "ui/theme/tokens.h"
#include "ui/widgets/memory_bar.h"

namespace qlora::ui {

namespace {
constexpr int predicted_curve = int(memory_tag_count);
QString bytes_text(double value) { return value <= 0 ? QStringLiteral("0") : format::bytes(std::int64_t(value)); }
}  // namespace

MemoryChart::MemoryChart(QWidget* parent) : Chart(tr("Memory by use"), tr("seconds"), QString(), parent) {
    set_y_from_zero(true);
    set_y_text(&bytes_text);
    for (std::size_t i = 0; i < memory_tag_count; ++i) {
        const auto tag = static_cast<MemoryTag>(i);
        add_curve(tag_text(tag), {.color = [tag] { return theme::current().tag(tag); }, .width = 1,
                                  .fill = [tag] { return theme::tag_brush(tag, theme::current()); }, .text = &bytes_text});
    }
    add_curve(tr("predicted"), {.color = [] { return theme::current().text; }, .dash = Qt::DashLine, .width = 1.4,
                                .fill = {}, .text = &bytes_text});
}

void MemoryChart::clear() {
    clear_points();
    predicted_ = 0;
    last_ = 0;
}

void MemoryChart::add(double seconds, const MemoryBytes& bytes) {
    double sum = 0;
    for (std::size_t i = 0; i < memory_tag_count; ++i) append(int(i), seconds, sum += double(bytes.by_tag[i]));
    last_ = seconds;
    if (predicted_ > 0) set_points(predicted_curve, {0, last_}, {double(predicted_), double(predicted_)});
}

void MemoryChart::set_predicted_peak(std::int64_t bytes) {
    predicted_ = bytes;
    if (bytes > 0) set_points(predicted_curve, {0, std::max(last_, 1.0)}, {double(bytes), double(bytes)});
    else set_points(predicted_curve, {}, {});
}

}  // namespace qlora::ui
