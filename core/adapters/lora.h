#pragma once
// LoRA (Hu et al. 2021; rsLoRA: Kalajdzievski 2023; DoRA: Liu et al. 2024) on a Model's linear layers, and PEFT's file format for it:
// adapter_config.json and adapter_model.safetensors.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/adapters/adapter.h"
#include "core/adapters/targets.h"

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

class Lora : public Adapter {
  public:
    // A from Kaiming's uniform distribution as PEFT has it, from `seed`; B zero, magnitudes the base's and modules trained
    // whole a copy of it, so that the model is unchanged.
    // Throws input_error "adapter.targets" when an entry matches nothing, naming the modules there are.
    static std::unique_ptr<Lora> attach(nn::Model& model, const LoraConfig& config, std::uint64_t seed);
    // From a PEFT folder. Throws input_error naming missing, unexpected or misshapen tensors, and settings that are not
    // supported (trained biases, other variants of LoRA, modules_to_save that are neither linear layers nor the embedding).
    static std::unique_ptr<Lora> load(nn::Model& model, const std::filesystem::path& folder, double dropout = 0);

    const LoraConfig& config() const { return config_; }
    void set_enabled(bool enabled) override;

    struct Layer {
        std::string module;
        std::shared_ptr<nn::LowRank> branch;
        const quant::Weight* weight;  // of the base
    };
    const std::vector<Layer>& layers() const { return layers_; }

    // Other beginnings than the default, of a fresh adapter without DoRA (lora_start.cpp).
    // PiSSA (Meng et al. 2024): A and B are the base's principal part, B A scale = U S V^T cut at the rank, which is taken off the
    // base beside them: the model is unchanged, and its largest directions are what is trained. The file, PEFT's conversion of
    // PiSSA, holds the difference to the beginning as LoRA of twice the rank.
    void start_from_principal_parts();
    // LoftQ (Li et al. 2024) over a base that stays as it is: B A scale = the best approximation of what quantizing took from
    // each matrix. `original` gives the matrix of a module in fp32 as the file has it.
    void start_from_errors(const std::function<torch::Tensor(const std::string& module)>& original);

  protected:
    OrderedJson config_json() const override;
    std::vector<Named> written() const override;
    void take(std::size_t index, const torch::Tensor& read) override;

  private:
    Lora() = default;
    void build(nn::Model& model);
    std::vector<std::string> written_targets() const;
    bool starts() const { return !layers_.empty() && layers_[0].branch->start_a.defined(); }

    LoraConfig config_;
    bool fan_in_fan_out_ = false;  // the base keeps its weights as [in, out] (GPT-2): recorded for PEFT
    std::vector<Layer> layers_;
};

// Reads adapter_config.json. Throws input_error naming the field.
LoraConfig read_config(const std::filesystem::path& folder);

}  // namespace qlora::adapters
