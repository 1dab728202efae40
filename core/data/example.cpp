#include "core/base/error.h"
#include "core/data/roles.h"
#include "core/data/row_source.h"

namespace qlora::data {

namespace {

using Layout = ColumnRoles::Layout;

class ExampleReader {
  public:
    ExampleReader(const Table& table, std::size_t row, const ColumnRoles& roles)
        : table_(table), row_(row), roles_(roles) {}

    std::optional<Example> read(EmptyReason& empty) const {
        switch (roles_.layout) {
            case Layout::text:
            case Layout::labelled:
                return read_text(empty);
            case Layout::prompt_completion:
                return read_pair(empty);
            case Layout::messages:
                break;
        }
        return read_messages(empty);
    }

  private:
    [[noreturn]] void fail(const std::string& column, const std::string& message,
                           const std::string& hint = {}) const {
        throw input_error("data.row", table_.where(row_), "the column \"" + column + "\": " + message, hint);
    }

    std::size_t index(const std::string& column) const {
        auto found = table_.column(column);
        if (!found) require_roles(table_, roles_);  // throws, naming every such column
        return found.value();
    }

    // Empty for null, blank and an optional role that is not set.
    std::string text(const std::string& column) const {
        if (column.empty()) return {};
        Json value = table_.cell(row_, index(column));
        if (value.is_null()) return {};
        if (!value.is_string()) fail(column, "expected text, got " + describe(value));
        std::string text = value.get<std::string>();
        return detail::is_blank(text) ? std::string() : text;
    }

    std::optional<Example> read_text(EmptyReason& empty) const {
        Example example{text(roles_.text), {}};
        if (!example.text.empty()) return example;
        empty = EmptyReason::no_text;
        return std::nullopt;
    }

    void add_system(Example& example) const {
        if (std::string system = text(roles_.system); !system.empty())
            example.messages.push_back({"system", system});
    }

    std::optional<Example> read_pair(EmptyReason& empty) const {
        std::string prompt = text(roles_.prompt), input = text(roles_.input),
                    completion = text(roles_.completion);
        if (!input.empty()) prompt += (prompt.empty() ? "" : "\n\n") + input;
        if (prompt.empty() || completion.empty()) {
            empty = prompt.empty() ? EmptyReason::no_prompt : EmptyReason::no_answer;
            return std::nullopt;
        }
        Example example;
        add_system(example);
        example.messages.push_back({"user", std::move(prompt)});
        example.messages.push_back({"assistant", std::move(completion)});
        return example;
    }

    std::optional<Example> read_messages(EmptyReason& empty) const {
        Json list = table_.cell(row_, index(roles_.messages));
        if (list.is_string()) {
            if (detail::is_blank(list.get_ref<const std::string&>()))
                list = nullptr;
            else
                list = parse_json(list.get<std::string>(), table_.where(row_));
        }
        if (list.is_null() || (list.is_array() && list.empty())) {
            empty = EmptyReason::no_messages;
            return std::nullopt;
        }
        if (!list.is_array()) fail(roles_.messages, "expected a list of messages, got " + describe(list));
        Example example;
        bool own_system =
            list[0].is_object() && list[0].value("role", list[0].value("from", Json())) == "system";
        if (!own_system) add_system(example);
        bool answered = false;
        for (std::size_t i = 0; i < list.size(); ++i) {
            example.messages.push_back(read_message(list[i], i));
            const Message& message = example.messages.back();
            answered = answered || (message.role == "assistant" && !detail::is_blank(message.content));
        }
        if (answered) return example;
        empty = EmptyReason::no_answer;
        return std::nullopt;
    }

    Message read_message(const Json& message, std::size_t i) const {
        std::string which = "message " + std::to_string(i + 1) + ": ";
        const char* shape =
            R"(A message is {"role": "user", "content": "..."} or {"from": "human", "value": "..."}.)";
        if (!message.is_object())
            fail(roles_.messages, which + "expected an object, got " + describe(message), shape);
        auto member = [&](const char* key, const char* other) {
            auto found = message.find(key);
            return found != message.end() ? found : message.find(other);
        };
        auto role = member("role", "from"), content = member("content", "value");
        if (role == message.end() || !role->is_string())
            fail(roles_.messages,
                 which + "expected a role, got " + (role == message.end() ? "none" : describe(*role)), shape);
        if (content == message.end() || content->is_null())
            fail(roles_.messages, which + "expected a content, got none",
                 message.contains("tool_calls") ? "Tool calls cannot be trained on." : shape);
        return {role_of(role->get<std::string>(), which), content_of(*content, which)};
    }

    std::string role_of(const std::string& role, const std::string& which) const {
        if (role == "user" || role == "assistant" || role == "system" || role == "tool") return role;
        if (role == "human") return "user";
        if (role == "gpt" || role == "bot" || role == "chatgpt" || role == "model") return "assistant";
        if (role == "developer") return "system";
        if (role == "function" || role == "observation") return "tool";
        fail(roles_.messages,
             which + "expected the role system, user, assistant or tool, got " + describe(Json(role)));
    }

    // A string, or OpenAI's list of parts of which all are text.
    std::string content_of(const Json& content, const std::string& which) const {
        if (content.is_string()) return content.get<std::string>();
        if (!content.is_array()) fail(roles_.messages, which + "expected text, got " + describe(content));
        std::string text;
        for (const Json& part : content) {
            if (!part.is_object() || part.value("type", Json("text")) != "text" || !part.contains("text") ||
                !part["text"].is_string())
                fail(roles_.messages, which + "expected parts of text, got " + describe(part),
                     "Only text can be trained on.");
            text += part["text"].get<std::string>();
        }
        return text;
    }

    const Table& table_;
    std::size_t row_;
    const ColumnRoles& roles_;
};

}  // namespace

std::optional<Example> read_example(const Table& table, std::size_t row, const ColumnRoles& roles,
                                    EmptyReason* empty) {
    EmptyReason reason{};
    auto example = ExampleReader(table, row, roles).read(reason);
    if (!example && empty != nullptr) *empty = reason;
    return example;
}

}  // namespace qlora::data
