#pragma once
// The table of a recipe's fields. It drives reading, validation, the CLI's --set, the form's labels and
// tooltips and the docs: nothing about a field is written twice.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/recipe/recipe.h"

namespace qlora::recipe {

struct Field {
    enum class Type { text, path, integer, real, boolean, choice, list };
    enum class Level { simple, advanced };

    std::string key{};                   // "train.learning_rate"
    std::vector<std::string> aliases{};  // "learning_rate", "lr", ...: accepted at any level of the JSON
    Type type = Type::text;
    Level level = Level::advanced;
    std::string label{};                 // "Learning rate"
    std::string unit{};                  // "tokens", "steps", "" ...
    double low = 0, high = 0;            // inclusive range of integer and real
    std::vector<std::string> choices{};  // of choice; of an integer: when not empty, the only numbers allowed
    std::string help{};                  // one line
    std::string details{};               // what it does, what more or less of it costs
    std::string typical{};               // "1e-4 to 5e-4 for LoRA"
    std::function<Json(const Recipe&)> get{};
    // Sets from JSON of the right type and range; false leaves the recipe as it was.
    std::function<bool(Recipe&, const Json&)> set{};
    Json default_value() const { return get(Recipe{}); }
    // Whether it has an effect in a recipe; the form hides it where not. Empty: always.
    std::function<bool(const Recipe&)> matters{};
    bool has_effect(const Recipe& recipe) const { return !matters || matters(recipe); }
    std::string expected() const;  // for messages: "an integer from 1 to 1024"
};

// In the order of the form and of the docs. Built once, never changed: any thread may read.
std::span<const Field> fields();
const Field* find_field(std::string_view key_or_alias);  // null when unknown
// Those set to something else than their default that change nothing in this recipe: of another method, of variants that are not made,
// of an adapter that goes on as it was.
std::vector<const Field*> without_effect(const Recipe& recipe);
// The precision that the field of that name would take; empty for other words.
std::optional<Precision> precision_named(const std::string& word);
// The known key nearest to a mistyped one; empty when none is near.
std::string nearest_key(std::string_view mistyped);

}  // namespace qlora::recipe
