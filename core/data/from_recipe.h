#pragma once
// What a recipe says about its data, put into this folder's terms.

#include <span>
#include <string>
#include <vector>

#include "core/data/renderer.h"
#include "core/recipe/recipe.h"

namespace qlora::data {

// The recipe's columns, and guesses for those it leaves open.
RoleGuess guess_roles(const Table& table, const recipe::Recipe& recipe);

// How rows become tokens. Labels are read from `rows`; `model_labels` as in LabelOptions. Throws
// input_error "data.labels", "data.label".
RenderOptions render_options(const recipe::Recipe& recipe, const Table& table, const ColumnRoles& roles,
                             std::span<const RowIndex> rows, const std::vector<std::string>& model_labels = {});

}  // namespace qlora::data
