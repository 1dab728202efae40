#pragma once
// Loads a model: files to a Model whose linear layers are kept in the wanted precision.

#include "core/base/control.h"
#include "core/nn/model.h"
#include "core/nn/files.h"
#include "core/quant/weight.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::nn {

struct LoadPrecision {
    recipe::Precision precision = recipe::Precision::native;
    quant::BlockOptions blocks;
};

// The linear layers of the blocks take `precision`. Embedding and head follow the float precisions and otherwise stay
// as stored, as QLoRA keeps them; norms and biases are fp32. Memory is at most the result plus one tensor in fp32.
// Throws input_error naming file and tensor; stopped() through `control`.
Model load(const ModelFiles& files, const LoadPrecision& precision, Control& control, const Progress& progress = {});

// The tokenizer that lies with the model. An id without an embedding row is refused when a text uses it.
std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const ModelFiles& files);

}  // namespace qlora::nn
