#pragma once
// LoRA (Hu et al. 2021; rsLoRA: Kalajdzievski 2023; DoRA: Liu et al. 2024) on a Model's linear layers, and PEFT's file format for it:
// adapter_config.json and adapter_model.safetensors.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/adapters/targets.h"
#include "core/nn/model.h"

namespace qlora::adapters {

struct LoraConfig {
    std::int64_t rank = 16;
    double alpha = 32, dropout = 0;
    bool rslora = false, dora = false;
    // As in PEFT: a module is a target when its name equals an entry or ends with "." + entry; "all-linear" means
    // every linear layer but the head; a single entry with regular-expression characters must match the whole name.
    std::vector<std::string> target_modules{"all-linear"};
    TargetOptions target_options{};  // `saved`: modules_to_save, which are trained whole
    // Ranks and alphas of single modules: the first expression that matches a name, or its end behind a point, counts.
    std::vector<std::pair<std::string, std::int64_t>> rank_pattern{};
    std::vector<std::pair<std::string, double>> alpha_pattern{};
    std::string base_model{};               // recorded in adapter_config.json
    std::string task_type = "CAUSAL_LM";    // so is this
    double scale(std::int64_t rank, double alpha) const;  // alpha / rank, or alpha / sqrt(rank)
    double scale() const { return scale(rank, alpha); }
};

// The trainable part: one flat fp32 buffer each for parameters and gradients, of which every A and B, and every module that
// is trained whole, is a view, so that clipping and the optimizer run over single tensors. Attached to a Model, whose base stays as it is.
class Lora {
  public:
    // A from Kaiming's uniform distribution as PEFT has it, from `seed`; B zero, magnitudes the base's and modules trained
    // whole a copy of it, so that the model is unchanged.
    // Throws input_error "adapter.targets" when an entry matches nothing, naming the modules there are.
    static std::unique_ptr<Lora> attach(nn::Model& model, const LoraConfig& config, std::uint64_t seed);
    // From a PEFT folder. Throws input_error naming missing, unexpected or misshapen tensors, and settings that are not
    // supported (trained biases, other variants of LoRA, modules_to_save that are neither linear layers nor the embedding).
    static std::unique_ptr<Lora> load(nn::Model& model, const std::filesystem::path& folder, double dropout = 0);
    ~Lora();
    Lora(const Lora&) = delete;
    Lora& operator=(const Lora&) = delete;

    const LoraConfig& config() const { return config_; }
    std::int64_t parameters() const { return values_.numel(); }
    void set_enabled(bool enabled);  // off: the model is its base, exactly. Not while merged

    // Works the adapter into the weights: every adapted matrix is replaced by dequantized(W) + scale B A in fp32 (with DoRA
    // its rows take the trained lengths), every module trained whole by its own values. The base that is added to is the
    // one that training saw, so outputs are those with the adapter on, to rounding; onto the weights before quantization
    // they would not be. Takes 4 bytes an element. Again: nothing happens. Throws input_error "adapter.not_finite" naming
    // the first module whose result would hold NaN or infinite numbers; the model is then as it was.
    void merge(nn::Model& model);
    // The base's own weights again, to the bit, with the adapter beside them.
    void unmerge(nn::Model& model);
    bool merged() const { return !originals_.empty() || trained_embedding_; }

    // Flat fp32 tensors; the gradient is accumulated into by backward.
    torch::Tensor& values() { return values_; }
    torch::Tensor& gradients() { return gradients_; }

    // Writes adapter_config.json and adapter_model.safetensors into an existing folder, as PEFT reads them.
    void save(const std::filesystem::path& folder) const;
    // Replaces the values by those of a saved adapter of the same layout.
    void restore(const std::filesystem::path& folder);

    struct Layer {
        std::string module;
        std::shared_ptr<nn::LowRank> branch;
    };
    const std::vector<Layer>& layers() const { return layers_; }

    // Every trained tensor under the name that PEFT's file gives it: a view of values().
    struct Named {
        std::string name;
        torch::Tensor tensor;
        bool transposed = false;  // in the file (GPT-2's Conv1D)
    };
    const std::vector<Named>& tensors() const { return tensors_; }

  private:
    Lora() = default;
    void build(nn::Model& model);
    std::vector<std::string> written_targets() const;

    LoraConfig config_;
    bool fan_in_fan_out_ = false;  // the base keeps its weights as [in, out] (GPT-2): recorded for PEFT
    std::vector<Layer> layers_;
    std::vector<std::shared_ptr<nn::TrainedLinear>> trained_;
    std::vector<nn::Linear> originals_;  // while merged, by name
    std::shared_ptr<nn::TrainedLinear> trained_embedding_;
    quant::Weight embedding_;
    std::vector<Named> tensors_;
    torch::Tensor values_, gradients_;
};

// Reads adapter_config.json. Throws input_error naming the field.
LoraConfig read_config(const std::filesystem::path& folder);

}  // namespace qlora::adapters
