#pragma once
// A search being set up: the rows of its form, each a field and its values as text, and the description that comes of them.

#include <QString>
#include <vector>

#include "core/recipe/fields.h"
#include "core/search/search.h"

namespace qlora::ui {

struct SearchRow {
    std::string key;
    QString values;    // "1e-5..1e-2", "4, 8, 16"; of lists, "query | query, key"
    bool log = false;  // a range's scale
    bool operator==(const SearchRow&) const = default;
};

// Fields that a search can vary and that have an effect in this recipe, in the order of the table.
std::vector<const recipe::Field*> variable_fields(const recipe::Recipe& recipe);
// Sensible values around the recipe's own.
SearchRow suggested_row(const recipe::Field& field, const recipe::Recipe& recipe);
// The two settings that matter most.
std::vector<SearchRow> suggested_rows(const recipe::Recipe& recipe);
// Whether a row's text is a range, which has a scale.
bool is_range(const QString& values);
// What is likeliest to be asked for: accuracy where classes are learned, else the validation loss.
std::string suggested_metric(const recipe::Recipe& recipe);
// The metrics a recipe's task can give.
std::vector<std::string> metrics_of(const recipe::Recipe& recipe);

// `base` with the rows as its space; what is wrong goes to `problems`, a row's under "space." and its key.
search::Search search_of(search::Search base, const std::vector<SearchRow>& rows, std::vector<recipe::Problem>& problems);
// How many runs of the recipe's whole length it comes to: of halving, what its rungs add up to.
double whole_runs(const search::Search& search);

}  // namespace qlora::ui
