#pragma once
// The adapter that a recipe asks for, or that a folder holds.

#include <functional>

#include "core/adapters/adapter.h"
#include "core/recipe/recipe.h"

namespace qlora::adapters {

// What a fresh adapter may need to know beside the recipe.
struct Beginning {
    std::vector<std::string> saved;          // layers to train whole whatever the method: a classifier and what else is new
    std::vector<std::int32_t> text_ids;      // what virtual tokens begin as; empty: drawn
    std::function<torch::Tensor(const std::string& module)> original;  // of LoftQ: a matrix as the file has it, fp32
};

// Fresh, by recipe.method and recipe.train.seed. Throws input_error naming the field that does not fit the model.
std::unique_ptr<Adapter> attach(nn::Model& model, const recipe::Recipe& recipe, const Beginning& beginning);
// From a folder of any kind; `dropout` is that of LoRA. Throws input_error.
std::unique_ptr<Adapter> load(nn::Model& model, const std::filesystem::path& folder, double dropout = 0);
// Makes the products of the blocks' matrices quantized as `rule` says, the adapter's part included; on whether it acts from now on
// or when the adapter's quantizers are switched on. Throws input_error "qat.base" where the base is quantized already.
void quantize_aware(nn::Model& model, Adapter& adapter, const recipe::QuantizationAware& rule, bool on);
// The method that a folder's adapter_config.json is of.
recipe::MethodKind kind_of(const std::filesystem::path& folder);

}  // namespace qlora::adapters
