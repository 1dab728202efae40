#pragma once
// What the weights of an adapter's model were rounded to while it was trained (quantization-aware training): rounding.json beside the
// adapter, {"base": "bf16", "precision": "int4", "block": 0}, so that what is exported is what was trained. `base` is what the model's
// own weights were loaded in.

#include <filesystem>
#include <optional>

#include "core/recipe/recipe.h"

namespace qlora::adapters {

struct TrainedRounding {
    recipe::Precision base = recipe::Precision::native, precision = recipe::Precision::int4;
    std::int64_t block = 0;  // elements; 0: a row
};

// Nothing where there is no such file. Throws input_error naming file and field.
std::optional<TrainedRounding> read_rounding(const std::filesystem::path& folder);
// Writes nothing for a recipe without quantization-aware training.
void write_rounding(const std::filesystem::path& folder, const recipe::Recipe& recipe);

}  // namespace qlora::adapters
