#pragma once
// A model ready to work: weights in the wanted precision, tokenizer, adapter, the tokens that end an answer.

#include <memory>
#include <vector>

#include "core/adapters/attach.h"
#include "core/evaluate/chat.h"
#include "core/evaluate/run_data.h"
#include "core/nn/generate.h"
#include "core/nn/load.h"
#include "core/nn/model.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::evaluate {

struct LoadedModel {
    std::unique_ptr<const nn::ModelFiles> files;  // until the weights are loaded
    nn::Model network;
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
    std::unique_ptr<adapters::Adapter> adapter;  // null without one
    std::vector<std::int32_t> stop_ids;
    std::string device;
    int gpu = -1;  // device.h
    std::vector<std::string> notices;  // what was ignored, or is worth knowing
};

// In two steps, so that data can be looked at before weights are loaded: what the files say, and the tokenizer;
std::unique_ptr<LoadedModel> open_model(const LoadOptions& options);
// then the weights with the head that the task wants.
void load_weights(LoadedModel& model, const LoadOptions& options, const nn::HeadWish& head, Control& control, const Progress& progress);
// the head for a recipe's task and its labels;
nn::HeadWish head_wish(const recipe::Recipe& recipe, const RunData& data);
// Both, with options.adapter on it: its own labels, where it classifies.
std::unique_ptr<LoadedModel> load_model(const LoadOptions& options, Control& control, const Progress& progress);

// Turns the adapter off while it lives: the model is its base, exactly.
class BaseScope {
  public:
    explicit BaseScope(adapters::Adapter* adapter) : adapter_(adapter) {
        if (adapter_ != nullptr) adapter_->set_enabled(false);
    }
    ~BaseScope() {
        if (adapter_ != nullptr) adapter_->set_enabled(true);
    }
    BaseScope(const BaseScope&) = delete;
    BaseScope& operator=(const BaseScope&) = delete;

  private:
    adapters::Adapter* adapter_;
};

}  // namespace qlora::evaluate
