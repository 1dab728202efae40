#pragma once
// Which column plays which part in training, guessed from names and contents, and the conversation of a row.

#include <optional>
#include <string>
#include <vector>

#include "core/data/table.h"
#include "core/recipe/recipe.h"

namespace qlora::data {

struct ColumnRoles {
    enum class Layout { text, prompt_completion, messages, labelled };
    Layout layout = Layout::text;
    std::string text{};        // Layout::text and labelled
    std::string prompt{};      // Layout::prompt_completion
    std::string input{};       // optional beside prompt, joined to it by a blank line (Alpaca's "input")
    std::string completion{};  // Layout::prompt_completion
    std::string messages{};    // Layout::messages: a list of {role, content}, or ShareGPT's {from, value}
    std::string system{};      // optional system prompt of a row
    std::string label{};       // Layout::labelled: what the text is; labels.h reads it
    bool operator==(const ColumnRoles&) const = default;
};
std::string_view name(ColumnRoles::Layout layout);

struct RoleGuess {
    ColumnRoles roles;
    std::string reason;  // for people: 'asks from "question", answers from "answer", by their names'
};

// Guesses the roles left open, for a task: classification wants texts with labels, seq2seq pairs. Columns named in `chosen` (its layout is ignored) stay as they are, and settle
// the layout. Where nothing fits, the roles are empty and check_roles says what is missing. Reads a few rows.
RoleGuess guess_roles(const Table& table, const ColumnRoles& chosen = {}, recipe::Task task = recipe::Task::causal_lm);

struct RoleProblem {
    std::string field;    // "data.columns.prompt", ...
    std::string message;  // what is wrong, naming the columns there are
    std::string hint;
};

// All problems at once: roles without a column, columns that are not there or hold no text, one column in two
// parts.
std::vector<RoleProblem> check_roles(const Table& table, const ColumnRoles& roles);
// The same as one input_error "data.columns"; does nothing where there is no problem.
void require_roles(const Table& table, const ColumnRoles& roles);

struct Message {
    std::string role;  // "system", "user", "assistant" or "tool"
    std::string content;
    bool operator==(const Message&) const = default;
};

// A row put into the common form: a plain text, or a conversation (prompt and completion make one of two
// turns).
struct Example {
    std::string text;               // Layout::text and labelled
    std::vector<Message> messages;  // the other layouts
    bool operator==(const Example&) const = default;
};

// Why a row gives nothing to learn from: not an error, but counted and shown.
enum class EmptyReason { no_text, no_prompt, no_answer, no_messages, no_label };
std::string_view explain(EmptyReason reason);

// Reads a row; blank cells give the reason in `empty`. Throws input_error "data.row" naming line and column
// when a cell is of the wrong kind, a message lacks its role or content, or a role is unknown.
std::optional<Example> read_example(const Table& table, std::size_t row, const ColumnRoles& roles,
                                    EmptyReason* empty = nullptr);

}  // namespace qlora::data
