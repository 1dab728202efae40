#pragma once
// Loads a model: files to a Model whose linear layers are kept in the wanted precision.

#include <optional>

#include "core/base/control.h"
#include "core/nn/model.h"
#include "core/nn/files.h"
#include "core/quant/weight.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::nn {

struct LoadPrecision {
    recipe::Precision precision = recipe::Precision::native;
    quant::BlockOptions blocks;
    torch::Device device = torch::kCPU;  // where the model is put, block by block
};

// Which head the model is to have.
struct HeadWish {
    // Nothing: the one in the file. Classification: the classifier in the file when its labels are as many, else a fresh one.
    std::optional<recipe::Task> task;
    std::vector<std::string> labels{};  // names; empty: the file's own
    recipe::ProblemType problem = recipe::ProblemType::automatic;
    std::uint64_t seed = 0;             // of fresh weights
};

// The linear layers of the blocks take `precision`. Embedding and head follow the float precisions and otherwise stay
// as stored, as QLoRA keeps them; norms, biases and classifiers are fp32. A model that bitsandbytes quantized stays as it
// is stored, its plain layers included, where `precision` is native or names the form it has, whatever its blocks;
// otherwise its layers are dequantized and quantized anew.
// Memory is at most the result, a tile of rows in fp32 and the pages of the file that one tensor takes.
// Throws input_error naming file and tensor; stopped() through `control`.
Model load(const ModelFiles& files, const LoadPrecision& precision, Control& control, const Progress& progress = {},
           const HeadWish& wish = {});

// The tokenizer that lies with the model. An id without an embedding row is refused when a text uses it.
// The blocks' matrices as the files have them, fp32 [out, in], by module; read anew at each call. Throws input_error "model.original"
// where the files hold them quantized.
std::function<torch::Tensor(const std::string& module)> original_matrices(const std::filesystem::path& model);

std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const ModelFiles& files);

}  // namespace qlora::nn
