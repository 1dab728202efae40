#include "core/tokenizer/chat_template.h"

#include "core/base/error.h"
#include "core/tokenizer/jinja/interpreter.h"
#include "core/tokenizer/jinja/parser.h"

namespace qlora::tokenizer {
namespace {

// Models disagree on the name under which a message's reasoning is passed; transformers fills in the others.
void alias_reasoning(OrderedJson& message) {
    const OrderedJson* reasoning = nullptr;
    for (const char* key : {"reasoning_content", "thinking", "reasoning"}) {
        auto found = message.find(key);
        if (reasoning == nullptr && found != message.end() && !found->is_null()) reasoning = &*found;
    }
    if (!reasoning) return;
    OrderedJson value = *reasoning, aliased = OrderedJson::object();
    aliased["thinking"] = value;
    for (const auto& [key, item] : message.items()) aliased[key] = item;
    aliased["reasoning_content"] = value;
    message = std::move(aliased);
}

OrderedJson checked_messages(const OrderedJson& messages) {
    if (!messages.is_array())
        throw input_error("chat.messages", "the messages", "expected a list of messages, got " + describe(Json(messages)),
                          R"(Write [{"role": "user", "content": "..."}, ...].)");
    OrderedJson out = messages;
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (!out[i].is_object())
            throw input_error("chat.messages", "message " + std::to_string(i + 1),
                              "expected an object with \"role\" and \"content\", got " + describe(Json(out[i])));
        alias_reasoning(out[i]);
    }
    return out;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source, std::string where)
    : body_(std::make_unique<const jinja::Body>(jinja::parse_template(source, where))), where_(std::move(where)) {}
ChatTemplate::~ChatTemplate() = default;

std::string ChatTemplate::render(const OrderedJson& messages, bool add_generation_prompt,
                                 const OrderedJson& variables) const {
    std::vector<std::pair<std::string, jinja::Value>> all;
    auto set = [&](const std::string& name, jinja::Value value) {
        for (auto& [known, old] : all)
            if (known == name) return void(old = std::move(value));
        all.emplace_back(name, std::move(value));
    };
    set("tools", jinja::Value());
    set("documents", jinja::Value());
    for (const auto& [name, value] : variables.items()) set(name, jinja::Value::from_json(value));
    set("messages", jinja::Value::from_json(checked_messages(messages)));
    set("add_generation_prompt", add_generation_prompt);
    return jinja::Interpreter(where_).run(*body_, std::move(all));
}

}  // namespace qlora::tokenizer
