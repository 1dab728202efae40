#include "core/data/conversation.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/data/row_source.h"

namespace qlora::data::detail {

namespace {

constexpr const char* blanks = " \t\r\n";
constexpr const char* mark = "\xEF\xA3\xBE";  // U+F8FE, private use

std::string_view trimmed(std::string_view text) {
    auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

}  // namespace

ChatTemplate::ChatTemplate(const tokenizer::Tokenizer& tokenizer, const SpecialText& special)
    : tokenizer_(tokenizer), special_(special) {
    const std::string probe = "Zq7";
    try {
        system_role_ =
            apply({{"system", probe}, {"user", "Hello"}, {"assistant", "Hi"}}, 3, false).find(probe) !=
            std::string::npos;
    } catch (const Error&) {
        system_role_ = false;
    }
    render({{"user", "Hello"}, {"assistant", "Hi"}}, "chat template");
}

std::string ChatTemplate::apply(const std::vector<Message>& messages, std::size_t count,
                                bool generation_prompt) const {
    OrderedJson list = OrderedJson::array();
    for (std::size_t i = 0; i < count; ++i)
        list.push_back({{"role", messages[i].role}, {"content", messages[i].content}});
    return tokenizer_.render_chat(list, generation_prompt);
}

std::string ChatTemplate::apply_or_throw(const std::vector<Message>& messages, std::size_t count,
                                         bool generation_prompt, const std::string& where) const {
    try {
        return apply(messages, count, generation_prompt);
    } catch (const Error& error) {
        if (error.kind() == Error::Kind::stopped) throw;
        throw input_error("data.template", where,
                          "the model's chat template refuses this conversation: " + error.message(),
                          error.hint());
    }
}

std::vector<Message> ChatTemplate::adapt(const std::vector<Message>& messages) const {
    if (system_role_ || messages.size() < 2 || messages[0].role != "system" || messages[1].role != "user")
        return messages;
    std::vector<Message> adapted(messages.begin() + 1, messages.end());
    adapted[0].content = messages[0].content + "\n\n" + adapted[0].content;
    return adapted;
}

Rendered ChatTemplate::render(const std::vector<Message>& given, const std::string& where) const {
    std::vector<Message> messages = adapt(given);
    Rendered rendered{apply_or_throw(messages, messages.size(), false, where), {}};
    for (std::size_t i = 0; i < messages.size(); ++i)
        if (messages[i].role == "assistant" && !is_blank(messages[i].content))
            rendered.answers.push_back(find_answer(messages, i, rendered.text, where));
    return rendered;
}

std::string ChatTemplate::render_prompt(const std::vector<Message>& given, const std::string& where) const {
    std::vector<Message> messages = adapt(before_last_answer(given));
    return apply_or_throw(messages, messages.size(), true, where);
}

Span ChatTemplate::find_answer(const std::vector<Message>& messages, std::size_t index,
                               const std::string& full, const std::string& where) const {
    // Where the whole conversation's text stands when it has come to the end of `count` messages.
    auto reach = [&](std::size_t count, bool generation_prompt) -> std::optional<std::size_t> {
        if (count == messages.size() && !generation_prompt) return full.size();
        try {
            std::string part = apply(messages, count, generation_prompt);
            if (full.starts_with(part)) return part.size();
        } catch (const Error&) {  // some templates refuse a conversation that ends early
        }
        return std::nullopt;
    };
    // Where a message's content starts or ends, by a mark in it that must not change the text otherwise.
    auto marked = [&](std::size_t message, bool at_end) -> std::optional<std::size_t> {
        for (std::string content :
             {messages[message].content, std::string(trimmed(messages[message].content))}) {
            auto copy = messages;
            copy[message].content = at_end ? content + mark : mark + content;
            try {
                std::string text = apply(copy, copy.size(), false);
                auto found = text.find(mark);
                if (found != std::string::npos && text.erase(found, std::string_view(mark).size()) == full)
                    return found;
            } catch (const Error&) {
            }
        }
        return std::nullopt;
    };

    auto start = reach(index, true);
    if (!start) start = marked(index, false);
    auto end = reach(index + 1, false);
    if (!end && (end = marked(index, true))) {
        std::size_t limit =
            index + 1 < messages.size() ? marked(index + 1, false).value_or(full.size()) : full.size();
        if (auto closing = special_.find(full, *end, limit)) end = closing->end;
    }
    if (!start || !end || *start >= *end)
        throw input_error("data.template", where,
                          "the model's chat template rewrites message " + std::to_string(index + 1) +
                              ", so that the answer cannot be found in it",
                          "Train on the conversation's last answer alone, or use another model.");
    std::size_t last = full.find_last_not_of(blanks, *end - 1);
    if (last != std::string::npos && last >= *start && special_.find_before(full, *start, last + 1))
        end = last + 1;
    return {*start, *end};
}

std::vector<PlainStretch> join_plainly(const std::vector<Message>& messages) {
    std::vector<PlainStretch> stretches(1);
    for (std::size_t i = 0; i < messages.size(); ++i) {
        PlainStretch* stretch = &stretches.back();
        if (stretch->closed) stretch = &stretches.emplace_back();
        std::string& text = stretch->text;
        char last = text.empty() ? '\n' : text.back();
        std::size_t begin = text.size();
        if (messages[i].role == "assistant" && (last == ' ' || last == '\t'))
            begin = text.find_last_not_of(" \t") + 1;
        else if (last != '\n')
            begin = text.append("\n").size();
        text += messages[i].content;
        if (messages[i].role != "assistant" || is_blank(messages[i].content)) continue;
        stretch->answers.push_back({begin, text.size()});
        stretch->closed = true;
    }
    return stretches;
}

std::vector<Message> before_last_answer(const std::vector<Message>& messages) {
    auto last = std::find_if(messages.rbegin(), messages.rend(),
                             [](const Message& m) { return m.role == "assistant"; });
    return {messages.begin(), last == messages.rend() ? messages.end() : std::prev(last.base())};
}

}  // namespace qlora::data::detail
