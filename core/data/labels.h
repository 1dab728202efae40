#pragma once
// What the label column of a table says: the classes there are, and a row's label as numbers.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/data/roles.h"
#include "core/data/split.h"
#include "core/recipe/recipe.h"

namespace qlora::data {

struct Labels {
    recipe::ProblemType type = recipe::ProblemType::single_label;
    std::vector<std::string> names;  // of classes; of a regression "value", or "value 1", "value 2", ...
    // What cells of classes hold: their names; their places among the names; or a 0 or 1 for each name.
    enum class Cells { names, places, flags } cells = Cells::names;
    bool operator==(const Labels&) const = default;
};

// What is known about the labels beforehand.
struct LabelOptions {
    recipe::ProblemType type = recipe::ProblemType::automatic;
    std::vector<std::string> model_names{};  // of a model that classifies already; empty: none
};

// The labels of `rows`. Text and truth values are classes, in the order of the alphabet; whole numbers are classes in their
// order when there are at most 100 different ones; lists hold any number of classes, or, where all are of one length and hold
// but 0 and 1, a flag for each class; other numbers, and lists of them, are values to be told (regression), also where a few
// cells hold something else: reading those is an error. Numbers written as text count as numbers. Where every label is one of
// the model's names (in any case of letters), or a place in their list, the model's own order is kept.
// Throws input_error "data.labels" naming what is wrong with all of them (a single class, more than 1,000, several kinds),
// or "data.label" naming a row.
Labels read_labels(const Table& table, const ColumnRoles& roles, std::span<const RowIndex> rows, const LabelOptions& options = {});

// A row's label as data::Sample::labels has it: the class's place; 0 or 1 for each name; the values. Empty where the cell
// is. Throws input_error "data.label" naming the row, for a class that is not among the names or a cell of another kind.
std::vector<float> read_label(const Table& table, std::size_t row, const ColumnRoles& roles, const Labels& labels);

// The same in words: "positive"; "urgent, refund"; "3.5". Empty where the cell is.
std::string label_text(const Table& table, std::size_t row, const ColumnRoles& roles, const Labels& labels);

// Rows of each class, [names]; a row with several labels counts for each. Nothing for a regression.
std::vector<std::size_t> class_counts(const Table& table, std::span<const RowIndex> rows, const ColumnRoles& roles, const Labels& labels);

}  // namespace qlora::data
