#include "core/data/from_recipe.h"

#include <algorithm>

namespace qlora::data {

RoleGuess guess_roles(const Table& table, const recipe::Recipe& recipe) {
    const recipe::Columns& columns = recipe.data.columns;
    ColumnRoles chosen;
    chosen.text = columns.text;
    chosen.prompt = columns.prompt;
    chosen.completion = columns.completion;
    chosen.messages = columns.messages;
    chosen.system = columns.system;
    chosen.label = columns.label;
    return guess_roles(table, chosen, recipe.task);
}

RenderOptions render_options(const recipe::Recipe& recipe, const Table& table, const ColumnRoles& roles,
                             std::span<const RowIndex> rows, const std::vector<std::string>& model_labels) {
    RenderOptions options;
    options.max_length = static_cast<std::size_t>(std::max<std::int64_t>(recipe.data.max_length, 1));
    options.answer_only = recipe.data.answer_only;
    options.system_prompt = recipe.data.system_prompt;
    options.answers_apart = recipe.task == recipe::Task::seq2seq;
    if (roles.layout == ColumnRoles::Layout::labelled)
        options.labels = std::make_shared<const Labels>(read_labels(table, roles, rows, {recipe.data.problem_type, model_labels}));
    return options;
}

}  // namespace qlora::data
