#include "core/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qlora::train {

LearningRate::LearningRate(const recipe::Train& options, std::int64_t steps)
    : schedule_(options.schedule),
      peak_(options.learning_rate),
      // Below one a fraction of all steps, rounded up as transformers does; from one on a number of steps.
      warmup_(static_cast<std::int64_t>(options.warmup < 1 ? std::ceil(options.warmup * static_cast<double>(steps)) : options.warmup)),
      steps_(steps) {}

double LearningRate::at(std::int64_t step) const {
    if (step < warmup_) return peak_ * static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, warmup_));
    if (schedule_ == recipe::Schedule::constant) return peak_;
    const double rest = static_cast<double>(std::max<std::int64_t>(1, steps_ - warmup_));
    if (schedule_ == recipe::Schedule::linear) return peak_ * std::max(0.0, static_cast<double>(steps_ - step) / rest);
    const double progress = static_cast<double>(step - warmup_) / rest;
    return peak_ * std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * progress)));
}

}  // namespace qlora::train
