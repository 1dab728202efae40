#pragma once
// Virtual tokens in front of every row: prompt tuning (Lester et al. 2021), whose tokens are embeddings, and prefix tuning (Li and
// Liang 2021, without its reparameterisation), whose tokens are keys and values in every layer. PEFT's format: "prompt_embeddings",
// [n, hidden] or [n, layers * 2 * kv_width], keys before values in each layer.

#include "core/adapters/adapter.h"

namespace qlora::adapters {

struct VirtualTokensConfig {
    bool prefix = false;
    std::int64_t tokens = 20;
    std::vector<std::string> saved{};  // modules_to_save
    std::string base_model{}, task_type = "CAUSAL_LM";
};

class VirtualTokens : public Adapter {
  public:
    // They begin as what `ids` are to the model, cut or repeated to as many as are asked for: their embeddings, or the keys and
    // values that they give in a decoder. Without ids, ids are drawn from `seed`. A prefix of an encoder begins as small random
    // numbers. Throws input_error "adapter.task" where a model has no place for them.
    static std::unique_ptr<VirtualTokens> attach(nn::Model& model, const VirtualTokensConfig& config, std::vector<std::int32_t> ids, std::uint64_t seed);
    static std::unique_ptr<VirtualTokens> load(nn::Model& model, const std::filesystem::path& folder);

  protected:
    OrderedJson config_json() const override;
    bool mergeable() const override { return false; }

  private:
    VirtualTokens() = default;
    void build(nn::Model& model, const torch::Tensor& begin);  // undefined: zeros
    VirtualTokensConfig config_;
    std::int64_t width_ = 0, heads_ = 0, layers_ = 0;  // as PEFT records them
};

}  // namespace qlora::adapters
