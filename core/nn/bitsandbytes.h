#pragma once
// Checkpoints that bitsandbytes quantized, as transformers' save_pretrained writes them. A 4-bit layer is the packed
// "weight" with "weight.absmax", "weight.quant_map", a JSON text in "weight.quant_state.bitsandbytes__nf4" (or __fp4) and,
// doubly quantized, "weight.nested_absmax" and "weight.nested_quant_map" (QuantState.as_dict of bitsandbytes 0.50); an
// LLM.int8 layer is an int8 "weight" with "SCB", the absmax of its rows (Linear8bitLt). Which layers are quantized follows
// from the tensors alone. What bitsandbytes has no place for (int4, int3, blocks that are rows) lies in the same parts, its
// state in "weight.quant_state.qlora__int4" and the like (docs/quantization.md). All functions: any thread; input_error names file, tensor and field.

#include <optional>

#include "core/nn/files.h"
#include "core/quant/weight.h"

namespace qlora::nn {

// What the tensors beside a layer's weight say about it.
struct BitsAndBytesLayer {
    recipe::Precision precision;      // nf4, fp4, int4, int3 or int8
    std::int64_t rows, cols, block;   // elements; of int8 one block is one row
    bool double_quantization = false;
    float offset = 0;                 // of the absmax when doubly quantized
    bool own_layout = false;          // ours, not bitsandbytes'
};

// The name of a 4-bit layer's state beside its weight: ".quant_state.bitsandbytes__nf4".
std::string quantization_state_name(recipe::Precision precision, bool own_layout);
// The quant_method of config.json where layers lie in our own layout.
inline constexpr const char* own_quantization = "qlora-studio";

// Throws input_error "model.quantization" unless quantization_config (of config.json) names bitsandbytes, or us.
void expect_bitsandbytes(const JsonObject& config);

// Nothing where the layer is stored plainly or the tensor is absent. `weight`: the name of its "weight" tensor in the
// files. Reads no weights.
std::optional<BitsAndBytesLayer> bitsandbytes_layer(const ModelFiles& files, const TensorName& weight, std::int64_t block = 0);

// The matrix as it is stored, never quantized anew. Nothing where it is stored plainly. Only bitsandbytes' own levels
// are accepted.
std::optional<quant::Weight> read_bitsandbytes(const ModelFiles& files, const TensorName& weight, std::int64_t rows, std::int64_t cols,
                                               std::int64_t block = 0);

// The module whose weight a tensor belongs to that is none itself ("....weight.absmax", "....SCB"); nothing for others.
std::optional<std::string> module_of_bitsandbytes_part(const std::string& name);

// "bitsandbytes nf4, double quantization", "qlora-studio int4" for people; empty for a plain model. The most frequent kind, by elements.
std::string bitsandbytes_form(const ModelFiles& files);

// Whether a model of this form, loaded in `precision`, stays as it is stored: native, or the form it has. For a plain
// model only native.
bool stays_as_stored(const std::string& form, recipe::Precision precision);

// For people: that loading quantizes anew what is stored quantized by bitsandbytes; empty where it does not.
std::string requantization_notice(const std::string& form, recipe::Precision precision);

}  // namespace qlora::nn
