#pragma once
// What a search varies: some fields of a recipe, each over a list of values or a range. Field names, types and ranges are those
// of core/recipe/fields.h. Pure functions on values; any thread.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "core/base/random.h"
#include "core/recipe/recipe.h"

namespace qlora::search {

// One varied field.
struct Axis {
    enum class Scale { values, linear, log };
    std::string key{};                // "train.learning_rate"
    Scale scale = Scale::values;
    std::vector<Json> values{};       // of Scale::values, as the field takes them: numbers, words, true and false, lists of names
    double low = 0, high = 0;         // of the other scales, both inclusive; whole numbers for a field of whole numbers
    std::int64_t points = 5;          // of a grid over the range, its ends included
    bool operator==(const Axis&) const = default;
};

// A point of the space: the value of every axis, by its key.
using Values = std::map<std::string, Json>;

// The axes of {"method.rank": [4, 8], "train.learning_rate": {"low": 1e-5, "high": 1e-2, "scale": "log", "points": 4}}, by
// key. Keys may be aliases; a lone value is a list of one. All that is wrong (unknown or unvariable fields, values that the field
// does not take, empty or reversed ranges, a logarithm from 0) goes to `problems`, each naming its key. Paths are relative to `folder`.
std::vector<Axis> axes_from_json(const Json& json, const std::filesystem::path& folder, std::vector<recipe::Problem>& problems);
OrderedJson to_json(const std::vector<Axis>& axes);
// The same of a command line's "train.learning_rate=1e-5..1e-2:log", "...:log:4" (points) or "method.rank=4,8,16"; values that
// are lists are parted by "|": "method.target_modules=query|query,key". Gives the axis' JSON under its key, to be read as above: a
// value that the field does not take is refused there. Throws input_error "search.vary" where the text has no such form.
std::pair<std::string, Json> parse_vary(const std::string& text);

// The values of an axis on a grid: its list, or `points` values evenly spaced on its scale, rounded to four figures.
std::vector<Json> grid_values(const Axis& axis);
// One value by chance: even over the list or over the range on its scale (every whole number of it alike on a linear one),
// rounded to three figures.
Json draw(const Axis& axis, RandomStream& random);

// The recipe with the values set; false, and the recipe as it was, when a field refuses its value.
bool set_values(recipe::Recipe& recipe, const Values& values);
// The recipe's own values of the axes.
Values values_of(const recipe::Recipe& recipe, const std::vector<Axis>& axes);

}  // namespace qlora::search
