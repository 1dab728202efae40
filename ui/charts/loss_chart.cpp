#include "ui/charts/loss_chart.h"

#include "ui/theme/tokens.h"

namespace qlora::ui {

namespace {
constexpr Qt::PenStyle further_dashes[] = {Qt::SolidLine, Qt::DashLine, Qt::DotLine, Qt::DashDotLine, Qt::DashDotDotLine};
}

LossChart::LossChart(QWidget* parent) : Chart(tr("Loss"), tr("step"), tr("nats / token"), parent) {
    add_curve(tr("train"), {.color = [] { return theme::current().accent; }, .smoothed = true, .fill = {}, .text = {}});
    add_curve(tr("validation"), {.color = [] { return theme::current().tag(MemoryTag::adapters); },
                                 .dash = Qt::DashLine, .markers = true, .fill = {}, .text = {}});
}

void LossChart::clear() {
    clear_runs();
    clear_points();
    set_best(0);
    set_checkpoints({});
}

void LossChart::add_train(std::int64_t step, double loss) { append(train, double(step), loss); }
void LossChart::add_validation(std::int64_t step, double loss) { append(validation, double(step), loss); }

void LossChart::set_train(std::vector<double> steps, std::vector<double> losses) {
    set_points(train, std::move(steps), std::move(losses));
}

void LossChart::set_validation(std::vector<double> steps, std::vector<double> losses) {
    set_points(validation, std::move(steps), std::move(losses));
}

void LossChart::set_best(std::int64_t step, bool turned) {
    std::vector<Mark> marks;
    if (step > 0) marks.push_back({double(step), turned ? tr("best · step %1, overfits after it").arg(step) : tr("best · step %1").arg(step)});
    set_marks(QStringLiteral("best"), std::move(marks), [turned] { return turned ? theme::current().warning : theme::current().good; }, Qt::DashLine);
}

void LossChart::set_checkpoints(const std::vector<std::int64_t>& steps) {
    std::vector<Mark> marks;
    for (std::int64_t step : steps) marks.push_back({double(step), {}});
    set_marks(QStringLiteral("checkpoint"), std::move(marks), [] { return theme::current().dim; }, Qt::SolidLine);
}

void LossChart::clear_runs() { remove_curves(first_run); }

void LossChart::add_run(const QString& name, std::vector<double> steps, std::vector<double> losses) {
    const std::size_t index = curves() - first_run;
    const auto color = [index] {
        const auto& colors = theme::current().further_runs;
        return colors[index % colors.size()];
    };
    const int curve = add_curve(name, {.color = color, .dash = further_dashes[index % std::size(further_dashes)],
                                       .smoothed = true, .fill = {}, .text = {}});
    set_points(curve, std::move(steps), std::move(losses));
}

}  // namespace qlora::ui
