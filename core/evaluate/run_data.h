#pragma once
// A recipe's data, opened, parted and tokenized.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/data/renderer.h"
#include "core/data/split.h"
#include "core/data/table.h"
#include "core/data/tokenized.h"
#include "core/recipe/recipe.h"

namespace qlora::evaluate {

// Rows of one part and the table they come from.
struct Part {
    std::shared_ptr<const data::Table> table;
    std::vector<data::RowIndex> rows;
    bool empty() const { return rows.empty(); }
};

struct RunData {
    Part train, validation, test;
    data::ColumnRoles roles;
    std::shared_ptr<const data::Labels> labels;  // of a classification
    std::shared_ptr<const data::Renderer> renderer;
    std::vector<std::string> notices;
};

// At most `count` of the rows (0: all), spread evenly: files are often sorted, and their first rows all of a kind.
std::vector<data::RowIndex> spread(const std::vector<data::RowIndex>& rows, std::int64_t count);

// Opens the recipe's tables and parts them: given validation and test files are taken whole, what is missing is split off
// the training rows by the recipe's seed. A catalogue set's own held-out part is its test part.
// `model_labels`: of a model that classifies already. Throws input_error naming file and row.
RunData open_data(const recipe::Recipe& recipe, std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                  const std::vector<std::string>& model_labels, Control& control, const Progress& progress);

}  // namespace qlora::evaluate
