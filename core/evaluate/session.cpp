#include <mutex>

#include "core/base/error.h"
#include "core/evaluate/chat.h"
#include "core/evaluate/loaded_model.h"

namespace qlora::evaluate {

namespace {

class ModelSession final : public Session {
  public:
    explicit ModelSession(std::unique_ptr<LoadedModel> model) : model_(std::move(model)) {}

    bool has_adapter() const override { return model_->adapter != nullptr; }
    bool has_chat_template() const override { return model_->tokenizer->has_chat_template(); }

    GenerateResult chat(const std::vector<Message>& messages, bool use_adapter, const GenerateOptions& options,
                        Control& control, const std::function<void(const std::string&)>& stream) override {
        OrderedJson list = OrderedJson::array();
        std::string plain;
        for (const Message& message : messages) {
            list.push_back({{"role", message.role}, {"content", message.content}});
            plain += message.content + "\n\n";
        }
        if (!has_chat_template()) return run(model_->tokenizer->encode(plain).ids, use_adapter, options, control, stream);
        // The template writes the special tokens itself.
        const auto text = model_->tokenizer->render_chat(list, true);
        return run(model_->tokenizer->encode(text, {.add_special = false}).ids, use_adapter, options, control, stream);
    }

    GenerateResult complete(const std::string& prompt, bool use_adapter, const GenerateOptions& options, Control& control,
                            const std::function<void(const std::string&)>& stream) override {
        return run(model_->tokenizer->encode(prompt).ids, use_adapter, options, control, stream);
    }

  private:
    GenerateResult run(const std::vector<std::int32_t>& prompt, bool use_adapter, const GenerateOptions& options,
                       Control& control, const std::function<void(const std::string&)>& stream) {
        std::lock_guard lock(mutex_);
        BaseScope base(use_adapter ? nullptr : model_->adapter.get());
        GenerateResult result;
        tokenizer::TextStream pieces(*model_->tokenizer, true);
        auto add = [&](const std::string& piece) {
            result.text += piece;
            if (stream && !piece.empty()) stream(piece);
        };
        result.prompt_tokens = static_cast<std::int64_t>(prompt.size());
        auto generated = nn::generate(model_->network, prompt, options.max_tokens, model_->stop_ids,
                                      {options.temperature, options.top_k, options.top_p, options.seed}, control,
                                      [&](std::int32_t id) {
                                          add(pieces.push(id));
                                          return true;
                                      });
        add(pieces.finish());
        result.tokens = static_cast<std::int64_t>(generated.ids.size());
        result.prompt_seconds = generated.prompt_seconds;
        result.seconds = generated.seconds;
        result.stop = generated.stop;
        return result;
    }

    std::mutex mutex_;
    std::unique_ptr<LoadedModel> model_;
};

}  // namespace

std::shared_ptr<Session> Session::load(const LoadOptions& options, Control& control, const Progress& progress) {
    return std::make_shared<ModelSession>(load_model(options, control, progress));
}

}  // namespace qlora::evaluate
