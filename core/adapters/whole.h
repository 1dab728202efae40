#pragma once
// Training the base's own tensors: all of them (full fine-tuning), all but frozen ones, or the biases alone (BitFit, Ben Zaken et
// al. 2022). The base is kept beside them, so that switching off gives it back. adapter_model.safetensors holds the trained tensors
// under transformers' names, as the model's own file would (docs/adapters.md).

#include "core/adapters/adapter.h"

namespace qlora::adapters {

struct WholeConfig {
    bool biases_only = false;
    std::vector<std::string> freeze{};  // what stays as it is (freeze.h)
    std::vector<std::string> saved{};  // layers trained whole beside biases
    std::string base_model{}, task_type = "CAUSAL_LM";
};

class Whole : public Adapter {
  public:
    // Trained tensors begin as the base's. Throws input_error "adapter.freeze" for an entry that names nothing, "adapter.nothing"
    // where nothing is left to train.
    static std::unique_ptr<Whole> attach(nn::Model& model, const WholeConfig& config);
    static std::unique_ptr<Whole> load(nn::Model& model, const std::filesystem::path& folder);

  protected:
    OrderedJson config_json() const override;

  private:
    Whole() = default;
    void build(nn::Model& model);
    WholeConfig config_;
};

}  // namespace qlora::adapters
