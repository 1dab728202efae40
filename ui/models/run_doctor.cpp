// The run doctor: what the curves say in plain words, with the next step.
#include <algorithm>
#include <cmath>

#include "ui/format/format.h"
#include "ui/models/live_run.h"

namespace qlora::ui {

namespace {

using Steps = std::vector<train::StepDone>;
using Weight = Finding::Weight;

double mean_loss(Steps::const_iterator from, Steps::const_iterator to) {
    double sum = 0;
    std::int64_t counted = 0;
    for (auto step = from; step != to; ++step)
        if (std::isfinite(step->loss)) sum += step->loss, ++counted;
    return counted ? sum / double(counted) : NAN;
}

double median_norm(const Steps& steps) {
    std::vector<double> norms;
    for (const auto& step : steps)
        if (std::isfinite(step.grad_norm)) norms.push_back(step.grad_norm);
    if (norms.empty()) return NAN;
    auto middle = norms.begin() + std::ptrdiff_t(norms.size() / 2);
    std::nth_element(norms.begin(), middle, norms.end());
    return *middle;
}

void look_at_skipped(const Steps& steps, std::vector<Finding>& findings) {
    const auto skipped =
        std::count_if(steps.begin(), steps.end(), [](const auto& step) { return step.skipped; });
    if (skipped == 0) return;
    findings.push_back(
        {skipped * 10 > std::ptrdiff_t(steps.size()) ? Weight::bad : Weight::warning,
         LiveRun::tr("%1 of %2 steps were skipped: their loss or gradient was no finite number. "
                     "Lower the learning rate, or compute in FP32.")
             .arg(skipped)
             .arg(steps.size())});
}

void look_at_loss(const Steps& steps, std::vector<Finding>& findings) {
    constexpr std::size_t enough = 20;
    const auto masked =
        std::count_if(steps.begin(), steps.end(), [](const auto& step) { return step.trained_tokens == 0; });
    if (masked > 0) {
        findings.push_back(
            {Weight::bad, LiveRun::tr("In %1 steps no token was trained on: everything is masked. Look at "
                                      "the coloured tokens on the Data page; a longer row limit may help.")
                              .arg(masked)});
        return;
    }
    if (steps.size() < enough) return;
    const auto fifth = std::ptrdiff_t(steps.size() / 5);
    const double first = mean_loss(steps.begin(), steps.begin() + fifth);
    const double last = mean_loss(steps.end() - fifth, steps.end());
    if (last < 1e-3)
        findings.push_back(
            {Weight::warning, LiveRun::tr("The training loss is almost zero: the rows are learned by heart. "
                                          "Take fewer epochs or more data, and trust the validation loss.")});
    else if (last > 1.3 * first)
        findings.push_back(
            {Weight::bad, LiveRun::tr("The loss rises (from %1 to %2). Stop, and start again with a "
                                      "learning rate ten times lower.")
                              .arg(format::figure(first), format::figure(last))});
    else if (steps.size() >= 2 * enough && std::abs(last - first) < 0.01 * first)
        findings.push_back(
            {Weight::warning, LiveRun::tr("The loss does not move. Try a higher learning rate, or check that "
                                          "the answers are in the right column.")});
}

void look_at_gradients(const Steps& steps, std::vector<Finding>& findings) {
    if (steps.size() < 10) return;
    const double usual = median_norm(steps);
    const double now = steps.back().grad_norm;
    if (std::isfinite(usual) && usual > 0 && now > 20 * usual)
        findings.push_back(
            {Weight::warning, LiveRun::tr("The gradient is %1 times its usual size. One such step is clipped "
                                          "away; many mean that the learning rate is too high.")
                                  .arg(std::llround(now / usual))});
    if (usual == 0)
        findings.push_back(
            {Weight::bad,
             LiveRun::tr("The gradient is zero: nothing is learned. Check which layers are adapted.")});
}

}  // namespace

std::int64_t LiveRun::overfit_step() const {
    if (evaluations_.size() < 3) return -1;
    const auto best = std::ranges::min_element(evaluations_, {}, &train::Evaluated::loss);
    return evaluations_.end() - best > 2 && evaluations_.back().loss > 1.02 * best->loss ? best->step : -1;
}

std::vector<Finding> LiveRun::findings() const {
    std::vector<Finding> findings;
    if (!steps_.empty()) {
        look_at_skipped(steps_, findings);
        look_at_loss(steps_, findings);
        look_at_gradients(steps_, findings);
    }
    if (const auto step = overfit_step(); step >= 0)
        findings.push_back({Weight::warning, tr("The validation loss has not improved since step %1: the model begins to learn the rows by heart. "
                                                "The best step is kept.").arg(step)});
    for (const auto& notice : notices_) {
        QString text = QString::fromStdString(notice.message);
        if (!notice.hint.empty()) text += QLatin1Char(' ') + QString::fromStdString(notice.hint);
        findings.push_back({Weight::info, text});
    }
    if (findings.empty() && steps_.size() >= 5)
        findings.push_back({Weight::good, tr("Nothing stands out: the run looks healthy.")});
    return findings;
}

}  // namespace qlora::ui
