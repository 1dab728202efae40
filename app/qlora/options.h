#pragma once
// Options that several commands share, and the checks of their values.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/recipe/recipe.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::cli {

// A finite number from low to high, with a point as the decimal mark in every locale.
CLI::Validator number_from(double low, double high);
// "auto", "cpu", "cuda" or "cuda:N"
CLI::Validator device_name();

CLI::Option* add_precision(CLI::App& command, recipe::Precision& precision);

// RECIPE.json and its --set, in the order they are given.
struct RecipeOptions {
    std::string file;
    std::vector<std::string> assignments;
    recipe::Recipe load() const;  // read, set and checked as a whole
    void set_into(recipe::Recipe& recipe) const;
};
void add_set(CLI::App& command, RecipeOptions& options);

// The tokenizer that lies with a model, nothing else of it being read.
std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const std::string& model);

Error usage_error(const CLI::App& command, const std::string& message);

}  // namespace qlora::cli
