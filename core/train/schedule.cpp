#include "core/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qlora::train {

LearningRate::LearningRate(const recipe::Train& options, std::int64_t steps)
    : schedule_(options.schedule),
      peak_(options.learning_rate),
      power_(options.schedule_power),
      cycles_(options.schedule_cycles),
      // Below one a fraction of all steps, rounded up as transformers does; from one on a number of steps.
      warmup_(static_cast<std::int64_t>(options.warmup < 1 ? std::ceil(options.warmup * static_cast<double>(steps)) : options.warmup)),
      steps_(steps) {}

double LearningRate::at(std::int64_t step) const {
    if (step < warmup_) return peak_ * static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, warmup_));
    const double rest = static_cast<double>(std::max<std::int64_t>(1, steps_ - warmup_));
    const double progress = static_cast<double>(step - warmup_) / rest, left = std::max(0.0, static_cast<double>(steps_ - step) / rest);
    const auto half_cosine = [](double done) { return std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * done))); };
    switch (schedule_) {
        case recipe::Schedule::constant: return peak_;
        case recipe::Schedule::linear: return peak_ * left;
        case recipe::Schedule::cosine: return peak_ * half_cosine(progress);
        case recipe::Schedule::cosine_with_restarts:
            return progress >= 1 ? 0 : peak_ * half_cosine(std::fmod(static_cast<double>(cycles_) * progress, 1.0));
        case recipe::Schedule::inverse_sqrt: {
            // Counted from where a curve that has its peak at the end of the warm-up begins.
            const double scale = warmup_ > 0 ? static_cast<double>(warmup_) : 10000;
            return peak_ / std::sqrt((static_cast<double>(step - warmup_) + scale) / scale);
        }
        case recipe::Schedule::polynomial: break;
    }
    constexpr double last = 1e-7;
    return step > steps_ ? last : (peak_ - last) * std::pow(left, power_) + last;
}

}  // namespace qlora::train
