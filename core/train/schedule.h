#pragma once
// The learning rate over the steps of a run, as transformers' get_scheduler defines it: a linear warm-up from zero, then
// constant; linear or by a half cosine to zero at the last step, or by several (cosine_with_restarts: back to the peak after
// each); by a power of what is left to 1e-7 (polynomial); by the inverse square root of the steps done, without an end.

#include "core/recipe/recipe.h"

namespace qlora::train {

class LearningRate {
  public:
    LearningRate(const recipe::Train& options, std::int64_t steps);
    double at(std::int64_t step) const;  // of the update with this index, from 0
    std::int64_t warmup_steps() const { return warmup_; }

  private:
    recipe::Schedule schedule_;
    double peak_, power_;
    std::int64_t cycles_, warmup_, steps_;
};

}  // namespace qlora::train
