#pragma once
// Bottleneck adapter layers (Houlsby et al. 2019; Pfeiffer et al. 2020; in parallel: He et al. 2022): beside a frozen block
//   y + up(relu(down(y) + b) ) + c,   down [hidden / reduction, hidden], up back,
// y being what attention or the MLP gives, before the residual sum; in parallel the adapter reads what that part reads.
// Their file is our own (docs/adapters.md).

#include "core/adapters/adapter.h"
#include "core/recipe/recipe.h"

namespace qlora::adapters {

struct BottleneckConfig {
    recipe::Placement placement = recipe::Placement::pfeiffer;  // behind the MLP; houlsby: behind attention too
    std::int64_t reduction = 16;                                // hidden over the bottleneck's width, which is at least 1
    bool parallel = false;
    std::vector<std::string> saved{};  // modules_to_save
    std::string base_model{}, task_type = "CAUSAL_LM";
};

class BottleneckLayers : public Adapter {
  public:
    // down as PEFT begins LoRA's A, from `seed`, the rest zero: the model is unchanged.
    static std::unique_ptr<BottleneckLayers> attach(nn::Model& model, const BottleneckConfig& config, std::uint64_t seed);
    static std::unique_ptr<BottleneckLayers> load(nn::Model& model, const std::filesystem::path& folder);
    void set_enabled(bool enabled) override;

  protected:
    OrderedJson config_json() const override;
    bool mergeable() const override { return false; }

  private:
    BottleneckLayers() = default;
    void build(nn::Model& model);
    BottleneckConfig config_;
    std::vector<std::pair<std::string, std::shared_ptr<nn::Bottleneck>>> layers_;
};

}  // namespace qlora::adapters
