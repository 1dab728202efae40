#include "core/data/roles.h"

#include <algorithm>

#include "core/base/error.h"

namespace qlora::data {

using Layout = ColumnRoles::Layout;

std::string_view name(Layout layout) {
    switch (layout) {
        case Layout::prompt_completion:
            return "prompt and completion";
        case Layout::messages:
            return "messages";
        case Layout::labelled:
            return "text and label";
        case Layout::text:
            break;
    }
    return "text";
}

std::string_view explain(EmptyReason reason) {
    switch (reason) {
        case EmptyReason::no_text:
            return "the text is empty";
        case EmptyReason::no_prompt:
            return "the prompt is empty";
        case EmptyReason::no_answer:
            return "the answer is empty";
        case EmptyReason::no_label:
            return "the label is empty";
        case EmptyReason::no_messages:
            break;
    }
    return "there are no messages";
}

namespace {

std::string in_quotes(const std::string& text) {
    return "\"" + text + "\"";
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

}  // namespace

std::vector<RoleProblem> check_roles(const Table& table, const ColumnRoles& roles) {
    std::vector<RoleProblem> problems;
    std::vector<std::pair<std::string, std::string>> taken;  // column, field
    auto check = [&](const char* role, const std::string& column, bool wanted, bool list) {
        std::string field = std::string("data.columns.") + role;
        if (column.empty()) {
            if (wanted)
                problems.push_back(
                    {field, "no column for the " + std::string(role) + "; there are " + list_columns(table),
                     "Choose the column that holds it."});
            return;
        }
        for (const auto& [other, other_field] : taken)
            if (other == column)
                problems.push_back({field,
                                    "the column " + in_quotes(column) + " is already used as " + other_field,
                                    "Choose two different columns."});
        taken.emplace_back(column, field);
        const Column* found = find(table, column);
        if (found == nullptr) {
            problems.push_back(
                {field, "there is no column " + in_quotes(column) + "; there are " + list_columns(table),
                 "Choose one of them."});
            return;
        }
        bool label = field == "data.columns.label";
        bool fits = found->kind == ColumnKind::string || ((list || label) && found->kind == ColumnKind::list) ||
                    (label && (found->kind == ColumnKind::number || found->kind == ColumnKind::boolean));
        if (!fits)
            problems.push_back(
                {field,
                 "the column " + in_quotes(column) + ": expected " + (label ? "labels" : list ? "lists of messages" : "text") +
                     ", got " +
                     (found->kind == ColumnKind::empty ? "nothing but empty cells"
                                                       : "cells of kind " + std::string(name(found->kind))),
                 label ? "Choose a column of words, numbers, or lists of them." : list ? R"(A message is {"role": "user", "content": "..."}.)" : "Choose a column of text."});
    };
    switch (roles.layout) {
        case Layout::text:
            check("text", roles.text, true, false);
            break;
        case Layout::prompt_completion:
            check("prompt", roles.prompt, true, false);
            check("input", roles.input, false, false);
            check("completion", roles.completion, true, false);
            check("system", roles.system, false, false);
            break;
        case Layout::labelled:
            check("text", roles.text, true, false);
            check("label", roles.label, true, false);
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
    for (const auto& problem : problems)
        message += (message.empty() ? "" : "\n") + problem.field + ": " + problem.message;
    throw input_error("data.columns", table.label(), message, problems[0].hint);
}

}  // namespace qlora::data
