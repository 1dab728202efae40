#pragma once
// A model written as a folder in Hugging Face layout: config.json, the tokenizer's files, model.safetensors. Dense weights lie
// in their own type. Quantized layers of nf4, fp4 and int8 lie as bitsandbytes 0.50 stores them (bitsandbytes.h), so that
// transformers opens them; int4, int3 and blocks that are rows in the same parts under names of our own
// (docs/quantization.md).

#include <filesystem>

#include "core/base/control.h"
#include "core/nn/files.h"
#include "core/nn/model.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::nn {

// The config.json of a model that comes from a GGUF file. Throws input_error "model.config" with the reason where it cannot
// say in transformers' words what the model is: families other than Llama, and positions scaled in ways that the file does
// not spell out.
Json config_json_of(const ModelFiles& gguf, const Model& model, const tokenizer::Tokenizer& tokenizer);

// Writes into `folder`, which exists, and reads back what it wrote: throws failure "quantize.readback" naming the tensor that
// is not the one in memory. `source`: what `model` was loaded from; what the model does not use of its tensors is copied.
// No packed GGUF block may be left in the model. On the CPU.
void save_model(const ModelFiles& source, const Model& model, const tokenizer::Tokenizer& tokenizer, const std::filesystem::path& folder,
                Control& control);

}  // namespace qlora::nn
