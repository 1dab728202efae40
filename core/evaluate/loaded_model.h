#pragma once
// A model ready to work: weights in the wanted precision, tokenizer, adapter, the tokens that end an answer.

#include <memory>
#include <vector>

#include "core/adapters/lora.h"
#include "core/evaluate/chat.h"
#include "core/nn/model.h"
#include "core/nn/generate.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::evaluate {

struct LoadedModel {
    nn::Model network;
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
    std::unique_ptr<adapters::Lora> adapter;  // null without one
    std::vector<std::int32_t> stop_ids;
    std::string device;
};

std::unique_ptr<LoadedModel> load_model(const LoadOptions& options, Control& control, const Progress& progress);

// Turns the adapter off while it lives: the model is its base, exactly.
class BaseScope {
  public:
    explicit BaseScope(adapters::Lora* adapter) : adapter_(adapter) {
        if (adapter_ != nullptr) adapter_->set_enabled(false);
    }
    ~BaseScope() {
        if (adapter_ != nullptr) adapter_->set_enabled(true);
    }
    BaseScope(const BaseScope&) = delete;
    BaseScope& operator=(const BaseScope&) = delete;

  private:
    adapters::Lora* adapter_;
};

}  // namespace qlora::evaluate
