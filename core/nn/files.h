#pragma once
// A model on disk: its family, its description and its tensors by role, whatever the format.

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/base/json.h"
#include "core/formats/gguf.h"
#include "core/formats/sharded_tensors.h"
#include "core/nn/model.h"
#include "kernels/blocks.h"

namespace qlora::nn {

// What one tensor is called in the two worlds; "{}" stands for the block's number.
struct TensorName {
    std::string hugging_face, gguf;
};

struct LinearName {
    std::string module;  // transformers' module name
    std::string gguf;    // without ".weight"
};

struct NormName {
    std::string module;  // transformers' module name, without ".weight" and ".bias"
    std::string gguf;
};

// The names in a stack of blocks. Those that a description does not ask for stay empty; a fused matrix is named as query
// or up.
struct StackNames {
    NormName final_norm{}, attention_norm{}, cross_norm{}, mlp_norm{}, attention_post_norm{}, mlp_post_norm{}, query_norm{}, key_norm{};
    LinearName query{}, key{}, value{}, output{}, cross_query{}, cross_key{}, cross_value{}, cross_output{}, gate{}, up{}, down{};
    LinearName ungated_up{};  // where up is called otherwise in an MLP without gate
    TensorName relative_bias{};
};

// Of a classifier: logits = out(activation(dense(h))) or out(h).
struct ClassifierNames {
    LinearName dense{}, out{};
    Activation activation = Activation::tanh;
    bool dense_in_base = false;  // dense is a part of the bare model too (BERT's pooler)
    HeadConfig::Pooling pooling = HeadConfig::Pooling::last;
    bool bias = false;           // of out
};

// A family is data: how config.json or GGUF metadata fill the description, and what the tensors are called.
struct Family {
    std::string name;                    // model_type of config.json
    std::string gguf_architecture;       // "": llama.cpp stores it as another one
    ModelConfig (*from_config)(const JsonObject& config);
    ModelConfig (*from_gguf)(const formats::GgufFile& file);
    bool (*is_in_gguf)(const formats::GgufFile& file) = nullptr;  // tells families of one architecture apart
    std::string prefix = "model.";       // a checkpoint of the bare model leaves it out
    TensorName embedding, positions{}, token_types{};
    NormName embedding_norm{};
    StackNames stack, encoder{};
    LinearName head{};                   // of a language model
    ClassifierNames classifier{};
    bool tied_unless_stored = false;     // whether the head is tied follows from the file alone (T5)
    bool transposed_linears = false;     // safetensors hold [in, out] (GPT-2's Conv1D)
    bool gguf_interleaves_rotary_rows = false;  // llama.cpp reorders the rows of q and k
};

// A linear layer of a block with its shape, as the description has it.
struct LinearPlan {
    LinearName name;
    Linear Block::* layer;
    std::int64_t in, out;
    bool bias;
    std::int64_t rotary_heads;  // heads whose rows llama.cpp reorders; 0: none
};
// In the order of Block::linears(). `crosses`: with the layers that attend to an encoder.
std::vector<LinearPlan> plan_linears(const StackNames& names, const ModelConfig& config, bool crosses);

std::span<const Family> families();

// A tensor as stored. `data` lives as long as the ModelFiles.
struct StoredTensor {
    std::string name;
    std::variant<formats::DType, kernels::BlockFormat> type;
    std::vector<std::int64_t> shape;
    std::span<const std::byte> data;
    std::int64_t elements() const;
    std::string type_name() const;
};

class ModelFiles {
  public:
    // A folder with config.json and safetensors, or a .gguf file. Everything is validated before a weight is read.
    // Throws input_error naming file and field.
    static ModelFiles open(const std::filesystem::path& path);

    const std::filesystem::path& path() const { return path_; }
    const Family& family() const { return *family_; }
    const ModelConfig& config() const { return config_; }
    const formats::GgufFile* gguf() const { return gguf_.get(); }
    const Json& config_json() const { return json_; }  // empty object for GGUF
    const std::vector<std::string>& notices() const { return notices_; }
    std::int64_t file_bytes() const;

    std::optional<StoredTensor> find(const TensorName& name, std::int64_t block = 0) const;
    // Throws input_error "tensor.missing" / "tensor.shape" naming the tensor.
    StoredTensor at(const TensorName& name, std::span<const std::int64_t> shape, std::int64_t block = 0) const;
    std::vector<StoredTensor> all() const;
    void check() const;  // after reading: throws when a file was cut short meanwhile

  private:
    void find_head();
    std::vector<std::string> label_names(std::int64_t count) const;

    std::filesystem::path path_;
    const Family* family_ = nullptr;
    ModelConfig config_;
    Json json_ = Json::object();
    std::unique_ptr<formats::GgufFile> gguf_;
    std::unique_ptr<formats::ShardedTensors> tensors_;
    std::string prefix_;  // "model." missing in checkpoints of the bare decoder
    std::vector<std::string> notices_;
};

TensorName weight_of(const LinearName& name);
TensorName bias_of(const LinearName& name);
std::string with_block(const std::string& pattern, std::int64_t block);

}  // namespace qlora::nn
