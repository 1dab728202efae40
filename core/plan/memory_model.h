#pragma once
// The formulas behind the plan: bytes by tag at the peak of a training step, and its floating-point operations.

#include "core/base/memory_tag.h"
#include "core/nn/model_info.h"
#include "core/recipe/recipe.h"

namespace qlora::plan {

struct StepShape {
    double tokens = 0;          // of a micro-batch
    double trained_tokens = 0;  // of them, those with a target
    double longest = 0;         // tokens of the longest segment
    double kept_bytes = 4;      // of a number kept for backward
    bool logits_in_bf16 = false;
};

// Stored bytes of one weight in a precision, scales included. `native`: as the file keeps it.
double weight_bytes(const recipe::Recipe& recipe, const nn::ModelInfo& model);
std::int64_t adapter_parameters(const recipe::Recipe& recipe, const nn::ModelInfo& model);
MemoryBytes step_bytes(const recipe::Recipe& recipe, const nn::ModelInfo& model, const StepShape& shape);
// Base, low-rank and attention products of forward and backward; base weights need no gradient of their own.
double step_flops(const recipe::Recipe& recipe, const nn::ModelInfo& model, const StepShape& shape);

}  // namespace qlora::plan
