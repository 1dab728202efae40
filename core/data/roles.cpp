#include "core/data/roles.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "core/base/error.h"

namespace qlora::data {

using Layout = ColumnRoles::Layout;

std::string_view name(Layout layout) {
    switch (layout) {
        case Layout::prompt_completion: return "prompt and completion";
        case Layout::messages: return "messages";
        case Layout::text: break;
    }
    return "text";
}

std::string_view explain(EmptyReason reason) {
    switch (reason) {
        case EmptyReason::no_text: return "the text is empty";
        case EmptyReason::no_prompt: return "the prompt is empty";
        case EmptyReason::no_answer: return "the answer is empty";
        case EmptyReason::no_messages: break;
    }
    return "there are no messages";
}

namespace {

constexpr std::size_t sampled_rows = 20;

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

std::string list_columns(const Table& table) {
    std::string list;
    for (const Column& column : table.columns()) {
        if (list.size() > 300) return list + ", ...";
        list += (list.empty() ? "" : ", ") + in_quotes(column.name);
    }
    return list.empty() ? "none" : list;
}

const Column* find(const Table& table, const std::string& name) {
    auto index = table.column(name);
    return index ? &table.columns()[*index] : nullptr;
}

class Guess {
  public:
    Guess(const Table& table, const ColumnRoles& chosen) : table_(table), roles_(chosen) {}

    RoleGuess make() {
        if (!roles_.messages.empty())
            take(Layout::messages, "the conversations are in " + in_quotes(roles_.messages));
        else if (!roles_.prompt.empty() || !roles_.completion.empty())
            complete_pair();
        else if (!roles_.text.empty())
            take(Layout::text, "the texts are in " + in_quotes(roles_.text));
        else if (!(by_messages() || by_pair_names() || by_text_name()))
            by_content();
        if (roles_.layout != Layout::text && roles_.system.empty())
            roles_.system = named({"system", "system_prompt"}, ColumnKind::string);
        return {roles_, reason_};
    }

  private:
    void take(Layout layout, std::string reason) {
        roles_.layout = layout;
        reason_ = std::move(reason);
    }

    bool used(const std::string& column) const {
        return column == roles_.prompt || column == roles_.completion || column == roles_.system || column == roles_.input;
    }

    // The column of the first of these names that there is, in any case of letters.
    std::string named(std::initializer_list<const char*> names, ColumnKind kind) const {
        for (const char* name : names)
            for (const Column& column : table_.columns())
                if (column.kind == kind && lower(column.name) == name && !used(column.name)) return column.name;
        return {};
    }

    std::string prompt_by_name() const {
        return named({"prompt", "instruction", "question", "query", "user", "input", "problem", "request"}, ColumnKind::string);
    }
    std::string completion_by_name() const {
        return named({"completion", "response", "output", "answer", "target", "reply", "assistant", "solution"},
                     ColumnKind::string);
    }

    void add_input() {
        if (!roles_.input.empty() || lower(roles_.prompt) == "input") return;
        if (std::string context = lower(roles_.prompt) == "instruction" ? named({"input", "context"}, ColumnKind::string)
                                                                        : named({"context"}, ColumnKind::string);
            !context.empty())
            roles_.input = context;
    }

    void explain_pair(const std::string& why) {
        add_input();
        std::string from = in_quotes(roles_.prompt) + (roles_.input.empty() ? "" : " with " + in_quotes(roles_.input));
        take(Layout::prompt_completion, "asks from " + from + ", answers from " + in_quotes(roles_.completion) + why);
    }

    // One of the two is chosen: the other by its name, or as the only text column left.
    void complete_pair() {
        std::string& open = roles_.prompt.empty() ? roles_.prompt : roles_.completion;
        if (open.empty()) open = &open == &roles_.prompt ? prompt_by_name() : completion_by_name();
        if (open.empty()) {
            std::vector<std::string> left;
            for (const Column& column : table_.columns())
                if (column.kind == ColumnKind::string && !used(column.name)) left.push_back(column.name);
            if (left.size() == 1) open = left[0];
        }
        explain_pair("");
    }

    bool by_messages() {
        std::string found = named({"messages", "conversations", "conversation", "dialog", "dialogue", "chat"}, ColumnKind::list);
        if (found.empty())
            found = named({"messages", "conversations"}, ColumnKind::string);  // JSON inside a CSV cell
        if (found.empty())
            for (const Column& column : table_.columns())
                if (column.kind == ColumnKind::list && holds_messages(column.name)) found = column.name;
        if (found.empty()) return false;
        roles_.messages = found;
        take(Layout::messages, "the conversations are in " + in_quotes(found));
        return true;
    }

    bool holds_messages(const std::string& column) const {
        Json list = table_.cell(0, *table_.column(column));
        return list.is_array() && !list.empty() && list[0].is_object() &&
               ((list[0].contains("role") && list[0].contains("content")) ||
                (list[0].contains("from") && list[0].contains("value")));
    }

    bool by_pair_names() {
        std::string completion = completion_by_name();
        if (completion.empty()) return false;
        roles_.completion = completion;
        roles_.prompt = prompt_by_name();
        if (roles_.prompt.empty()) {
            roles_.completion.clear();
            return false;
        }
        explain_pair(", by their names");
        return true;
    }

    bool by_text_name() {
        std::string found = named({"text", "content", "document", "body"}, ColumnKind::string);
        if (found.empty()) return false;
        roles_.text = found;
        take(Layout::text, "the texts are in " + in_quotes(found) + ", by its name");
        return true;
    }

    double mean_length(const std::string& column) const {
        std::size_t index = *table_.column(column), rows = std::min(table_.rows(), sampled_rows);
        double sum = 0;
        for (std::size_t row = 0; row < rows; ++row) sum += static_cast<double>(table_.text(row, index).value_or("").size());
        return rows == 0 ? 0 : sum / static_cast<double>(rows);
    }

    // One text column is the text; of two, the first asks; of more, the two with the most in them.
    void by_content() {
        std::vector<std::string> texts;
        for (const Column& column : table_.columns())
            if (column.kind == ColumnKind::string) texts.push_back(column.name);
        if (texts.size() == 1) {
            roles_.text = texts[0];
            take(Layout::text, "the texts are in " + in_quotes(texts[0]) + ", the only column of text");
        } else if (texts.size() >= 2) {
            auto longest = texts;
            std::stable_sort(longest.begin(), longest.end(), [&](const auto& a, const auto& b) { return mean_length(a) > mean_length(b); });
            longest.resize(2);
            std::erase_if(texts, [&](const auto& name) { return std::find(longest.begin(), longest.end(), name) == longest.end(); });
            roles_.prompt = texts[0];
            roles_.completion = texts[1];
            explain_pair(table_.columns().size() == 2 ? ", the two columns there are" : ", the columns with the most text; please check");
        } else {
            reason_ = "no column holds text or messages";
        }
    }

    const Table& table_;
    ColumnRoles roles_;
    std::string reason_;
};

}  // namespace

RoleGuess guess_roles(const Table& table, const ColumnRoles& chosen) {
    if (table.rows() == 0) return {chosen, "there are no rows"};
    // A chosen name that is not there is for check_roles to report.
    return Guess(table, chosen).make();
}

std::vector<RoleProblem> check_roles(const Table& table, const ColumnRoles& roles) {
    std::vector<RoleProblem> problems;
    std::vector<std::pair<std::string, std::string>> taken;  // column, field
    auto check = [&](const char* role, const std::string& column, bool wanted, bool list) {
        std::string field = std::string("data.columns.") + role;
        if (column.empty()) {
            if (wanted)
                problems.push_back({field, "no column for the " + std::string(role) + "; there are " + list_columns(table),
                                    "Choose the column that holds it."});
            return;
        }
        for (const auto& [other, other_field] : taken)
            if (other == column)
                problems.push_back({field, "the column " + in_quotes(column) + " is already used as " + other_field, "Choose two different columns."});
        taken.emplace_back(column, field);
        const Column* found = find(table, column);
        if (found == nullptr) {
            problems.push_back({field, "there is no column " + in_quotes(column) + "; there are " + list_columns(table), "Choose one of them."});
            return;
        }
        bool fits = found->kind == ColumnKind::string || (list && found->kind == ColumnKind::list);
        if (!fits)
            problems.push_back({field,
                                "the column " + in_quotes(column) + ": expected " + (list ? "lists of messages" : "text") + ", got " +
                                    (found->kind == ColumnKind::empty ? "nothing but empty cells"
                                                                      : "cells of kind " + std::string(name(found->kind))),
                                list ? R"(A message is {"role": "user", "content": "..."}.)" : "Choose a column of text."});
    };
    switch (roles.layout) {
        case Layout::text: check("text", roles.text, true, false); break;
        case Layout::prompt_completion:
            check("prompt", roles.prompt, true, false);
            check("input", roles.input, false, false);
            check("completion", roles.completion, true, false);
            check("system", roles.system, false, false);
            break;
        case Layout::messages:
            check("messages", roles.messages, true, true);
            check("system", roles.system, false, false);
            break;
    }
    return problems;
}

void require_roles(const Table& table, const ColumnRoles& roles) {
    auto problems = check_roles(table, roles);
    if (problems.empty()) return;
    std::string message;
    for (const auto& problem : problems) message += (message.empty() ? "" : "\n") + problem.field + ": " + problem.message;
    throw input_error("data.columns", table.label(), message, problems[0].hint);
}

}  // namespace qlora::data
