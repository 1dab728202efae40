#include "app/qlora/options.h"

#include <charconv>
#include <cmath>

#include "core/base/error.h"
#include "core/recipe/fields.h"

namespace qlora::cli {

namespace {

std::string number_text(double value) {
    return Json(value).dump();
}

}  // namespace

CLI::Validator number_from(double low, double high) {
    return CLI::Validator(
        [low, high](std::string& text) -> std::string {
            double value = 0;
            auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            bool whole = error == std::errc() && end == text.data() + text.size();
            if (whole && std::isfinite(value) && value >= low && value <= high) return {};
            return "expected a number from " + number_text(low) + " to " + number_text(high) + ", got \"" +
                   text + "\"";
        },
        "NUMBER");
}

CLI::Validator device_name() {
    return CLI::Validator(
        [](std::string& text) -> std::string {
            if (text == "auto" || text == "cpu" || text == "cuda") return {};
            if (text.starts_with("cuda:") && text.size() > 5 && text.size() < 8 &&
                text.find_first_not_of("0123456789", 5) == std::string::npos)
                return {};
            return "expected auto, cpu, cuda or cuda:N, got \"" + text + "\"";
        },
        "DEVICE");
}

CLI::Option* add_precision(CLI::App& command, recipe::Precision& precision) {
    const recipe::Field& field = *recipe::find_field("precision");
    return command
        .add_option_function<std::string>(
            "--precision",
            [&precision, &field](const std::string& text) {
                const auto named = recipe::precision_named(text);
                if (!named) throw CLI::ValidationError("--precision", "expected " + field.expected() + ", got \"" + text + "\"");
                precision = *named;
            },
            "How the weights are kept in memory: " + field.expected())
        ->type_name("P");
}

void add_set(CLI::App& command, RecipeOptions& options) {
    command.add_option("--set", options.assignments, "Sets a key of the recipe; may be given several times")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
}

recipe::Recipe RecipeOptions::load() const {
    recipe::Recipe recipe = recipe::load(file);
    set_into(recipe);
    return recipe;
}

void RecipeOptions::set_into(recipe::Recipe& recipe) const {
    for (const std::string& assignment : assignments) recipe::set(recipe, assignment);
    if (auto problems = recipe::validate(recipe); !problems.empty()) recipe::throw_problems(file, problems);
}

Error usage_error(const CLI::App& command, const std::string& message) {
    std::string name = command.get_parent() == nullptr ? "qlora" : "qlora " + command.get_name();
    return input_error("usage", name, message, "Run '" + name + " --help' to see what it takes.");
}

}  // namespace qlora::cli
