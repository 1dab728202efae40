#include <charconv>

#include "core/base/error.h"
#include "core/recipe/place.h"
#include "core/recipe/recipe.h"

namespace qlora::recipe {

namespace {

// from_chars reads a point as the decimal mark whatever the locale; the whole text must be the number.
template <typename Number>
Json parsed_number(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    Number number{};
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() ? Json(number) : Json(text);
}

Json parsed_list(std::string_view text) {
    Json list = Json::array();
    while (!text.empty()) {
        std::size_t comma = text.find(',');
        std::string_view item = text.substr(0, comma);
        while (item.starts_with(' ')) item.remove_prefix(1);
        while (item.ends_with(' ')) item.remove_suffix(1);
        list.emplace_back(item);
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    }
    return list;
}

Json parsed(const Field& field, std::string_view text) {
    switch (field.type) {
        case Field::Type::integer:
            return parsed_number<std::int64_t>(text);
        case Field::Type::real:
            return parsed_number<double>(text);
        case Field::Type::boolean:
            return text == "true" ? Json(true) : text == "false" ? Json(false) : Json(text);
        case Field::Type::list:
            return parsed_list(text);
        case Field::Type::path:
            return placed(field, std::string(text), std::filesystem::current_path());
        case Field::Type::text:
        case Field::Type::choice:
            break;
    }
    return Json(text);
}

}  // namespace

void set(Recipe& recipe, const std::string& assignment) {
    std::size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0)
        throw input_error("recipe.set", "--set", "expected key=value, got \"" + assignment + "\"",
                          "For example: --set train.learning_rate=2e-4");
    std::string key = assignment.substr(0, equals), value = assignment.substr(equals + 1);
    const Field* field = find_field(key);
    if (field == nullptr) {
        std::string nearest = nearest_key(key);
        throw input_error("recipe.set", key, "expected a key of a recipe, got an unknown key",
                          nearest.empty() ? "" : "Did you mean \"" + nearest + "\"?");
    }
    if (!field->set(recipe, parsed(*field, value)))
        throw input_error("recipe.set", key, "expected " + field->expected() + ", got \"" + value + "\"",
                          field->typical.empty() ? "" : "Typical: " + field->typical);
}

}  // namespace qlora::recipe
