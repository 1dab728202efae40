#pragma once
// What a run will take, before it starts.

#include <optional>
#include <string>
#include <vector>

#include "core/base/memory_tag.h"
#include "core/nn/model_info.h"
#include "core/recipe/recipe.h"

namespace qlora::plan {

// Facts about the rendered data; absent ones are assumed from the recipe (and said so in a notice).
struct DataFacts {
    std::int64_t train_rows = 0, validation_rows = 0;
    double mean_tokens = 0, mean_trained_tokens = 0;
    std::int64_t longest_tokens = 0, truncated_rows = 0;
};

struct Plan {
    MemoryBytes bytes;             // at the step's peak
    std::int64_t peak_bytes = 0;   // sum of bytes
    std::int64_t budget_bytes = 0; // what the device has free (or RAM), the process's own fixed part subtracted
    bool fits = true;
    double step_seconds = 0;       // ~, from the machine's measured GEMM rates; 0: unknown
    double total_seconds = 0;
    std::int64_t steps = 0, trainable_parameters = 0;
    std::vector<std::string> notices;
    std::string sentence;          // "Teach SmolLM2 135M in NF4 with LoRA r 16 on 412 rows, 3 epochs."
};

// FLOP/s of this machine's matrix products, by what they compute in; 0: not measured, or (bf16) not in hardware.
struct GemmRates {
    double fp32 = 0, bf16 = 0;
};

// Pure arithmetic, microseconds: may run on the UI thread at every keystroke.
Plan make_plan(const recipe::Recipe& recipe, const nn::ModelInfo& model, const std::optional<DataFacts>& data,
               std::int64_t budget_bytes, const GemmRates& rates);

// Measured once a process, over a second, on the calling thread and its helpers.
GemmRates measured_gemm_rates();

}  // namespace qlora::plan
