#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <mutex>

#include "core/base/error.h"
#include "core/evaluate/chat.h"
#include "core/evaluate/loaded_model.h"
#include "core/memory/meters.h"
#include "core/nn/functions/poll.h"

namespace qlora::evaluate {

namespace {

class ModelSession final : public Session {
  public:
    explicit ModelSession(std::unique_ptr<LoadedModel> model) : model_(std::move(model)) {}
    ~ModelSession() override {
        model_.reset();
        memory::give_back();
    }

    std::vector<std::string> notices() const override { return model_->notices; }
    bool has_adapter() const override { return model_->adapter != nullptr; }
    bool has_chat_template() const override { return model_->tokenizer->has_chat_template(); }
    bool classifies() const override { return model_->network.config.head.kind == nn::HeadConfig::Kind::classifier; }

    GenerateResult chat(const std::vector<Message>& messages, bool use_adapter, const GenerateOptions& options,
                        Control& control, const std::function<void(const std::string&)>& stream) override {
        if (classifies()) return classify(messages.empty() ? "" : messages.back().content, use_adapter, control, stream);
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
        if (classifies()) return classify(prompt, use_adapter, control, stream);
        return run(model_->tokenizer->encode(prompt).ids, use_adapter, options, control, stream);
    }

  private:
    GenerateResult classify(const std::string& text, bool use_adapter, Control& control,
                            const std::function<void(const std::string&)>& stream) {
        std::lock_guard lock(mutex_);
        BaseScope base(use_adapter ? nullptr : model_->adapter.get());
        nn::PollScope poll([&] { control.check(); });
        const auto begun = std::chrono::steady_clock::now();
        const nn::HeadConfig& head = model_->network.config.head;
        auto ids = model_->tokenizer->encode(text, {.add_special = true, .parse_special = false}).ids;
        if (ids.empty()) throw input_error("classify.empty", "text", "expected a text, got none");
        if (const auto limit = model_->network.config.token_limit(); static_cast<std::int64_t>(ids.size()) > limit)
            throw input_error("classify.context", "text", "expected at most " + std::to_string(limit) + " tokens, the model's context, got " +
                                                              std::to_string(ids.size()), "Shorten the text.");
        torch::Tensor logits = model_->network.logits(ids);
        const bool regression = head.problem == recipe::ProblemType::regression;
        if (head.problem == recipe::ProblemType::single_label) logits = logits.softmax(0);
        else if (!regression) logits = logits.sigmoid();
        GenerateResult result;
        for (std::int64_t i = 0; i < head.size(); ++i)
            result.labels.push_back({head.labels[static_cast<std::size_t>(i)], logits[i].item<double>()});
        if (!regression)
            std::ranges::stable_sort(result.labels, [](const auto& a, const auto& b) { return a.score > b.score; });
        for (const LabelScore& label : result.labels) {
            char number[32];
            std::snprintf(number, sizeof number, regression ? "%.4g" : "%.1f %%", regression ? label.score : 100 * label.score);
            result.text += (result.text.empty() ? "" : "\n") + label.name + ": " + number;
        }
        if (stream) stream(result.text);
        result.prompt_tokens = static_cast<std::int64_t>(ids.size());
        result.prompt_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
        result.stop = "eos";
        return result;
    }

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
