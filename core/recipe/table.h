#pragma once
// For the files that make up the table of fields: a field's words, range and place in the recipe to a Field
// whose get and set check type and range. `Access` takes a Recipe, const or not, and gives a reference to the
// member.

#include <algorithm>
#include <cmath>
#include <optional>
#include <type_traits>
#include <utility>

#include "core/recipe/fields.h"

namespace qlora::recipe {

// A whole number in the field's range (an integral real such as 8.0 counts); empty when it is none.
std::optional<std::int64_t> whole_number(const Json& value, const Field& field);
std::optional<double> real_number(const Json& value, const Field& field);
// The field's choice that a string means, in its own spelling or in that of PEFT and transformers
// ("CAUSAL_LM").
std::optional<std::string> chosen(const Json& value, const Field& field);
std::optional<std::vector<std::string>> names(const Json& value);
bool is_plain_text(const Json& value);  // a string without NUL

template <typename Access>
Field integer(Field field, Access access) {
    field.type = Field::Type::integer;
    field.get = [access](const Recipe& recipe) { return Json(access(recipe)); };
    field.set = [access, checks = field](Recipe& recipe, const Json& value) {
        auto number = whole_number(value, checks);
        if (number) access(recipe) = static_cast<std::remove_reference_t<decltype(access(recipe))>>(*number);
        return number.has_value();
    };
    return field;
}

template <typename Access>
Field real(Field field, Access access) {
    field.type = Field::Type::real;
    field.get = [access](const Recipe& recipe) { return Json(access(recipe)); };
    field.set = [access, checks = field](Recipe& recipe, const Json& value) {
        auto number = real_number(value, checks);
        if (number) access(recipe) = *number;
        return number.has_value();
    };
    return field;
}

template <typename Access>
Field boolean(Field field, Access access) {
    field.type = Field::Type::boolean;
    field.get = [access](const Recipe& recipe) { return Json(access(recipe)); };
    field.set = [access](Recipe& recipe, const Json& value) {
        if (value.is_boolean()) access(recipe) = value.get<bool>();
        return value.is_boolean();
    };
    return field;
}

template <typename Access>
Field text(Field field, Access access) {
    field.get = [access](const Recipe& recipe) { return Json(access(recipe)); };
    field.set = [access](Recipe& recipe, const Json& value) {
        if (is_plain_text(value)) access(recipe) = value.get<std::string>();
        return is_plain_text(value);
    };
    return field;
}

template <typename Access>
Field path(Field field, Access access) {
    field.type = Field::Type::path;
    return text(std::move(field), access);
}

// `empty`: whether an empty list, or an empty text, is one.
template <typename Access>
Field list(Field field, Access access, bool empty = false) {
    field.type = Field::Type::list;
    field.get = [access](const Recipe& recipe) { return Json(access(recipe)); };
    field.set = [access, empty](Recipe& recipe, const Json& value) {
        const bool none = empty && ((value.is_array() && value.empty()) || value == "");
        auto found = none ? std::vector<std::string>() : names(value);
        if (found) access(recipe) = *std::move(found);
        return found.has_value();
    };
    return field;
}

// The member is a string, or an enumeration from 0 on whose values name() words; `choices` in the
// enumeration's order.
template <typename Access>
Field choice(Field field, Access access) {
    field.type = Field::Type::choice;
    using Member = std::remove_reference_t<decltype(access(std::declval<Recipe&>()))>;
    field.get = [access](const Recipe& recipe) {
        if constexpr (std::is_enum_v<Member>)
            return Json(name(access(recipe)));
        else
            return Json(access(recipe));
    };
    field.set = [access, checks = field](Recipe& recipe, const Json& value) {
        auto found = chosen(value, checks);
        if (!found) return false;
        if constexpr (std::is_enum_v<Member>)
            access(recipe) = static_cast<Member>(
                std::find(checks.choices.begin(), checks.choices.end(), *found) - checks.choices.begin());
        else
            access(recipe) = *found;
        return true;
    };
    return field;
}

void add_model_fields(std::vector<Field>& table);
void add_data_fields(std::vector<Field>& table);
void add_method_fields(std::vector<Field>& table);
void add_train_fields(std::vector<Field>& table);
void add_qat_fields(std::vector<Field>& table);
void add_evaluate_fields(std::vector<Field>& table);

}  // namespace qlora::recipe
