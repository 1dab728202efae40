#pragma once
// The parts of a model under the names that its files have for them.

#include <functional>
#include <string>
#include <vector>

#include "core/nn/files.h"
#include "core/nn/model.h"

namespace qlora::nn {

struct ModelPart {
    std::string name;                          // of the tensor, in Hugging Face's layout
    const quant::Weight* weight = nullptr;     // a matrix, or
    torch::Tensor values{};                    // anything else, fp32
    bool transposed = false;                   // dense, it lies as [in, out]
};

// Without a head that is the embedding.
std::vector<ModelPart> model_parts(const ModelFiles& files, const Model& model);

}  // namespace qlora::nn
