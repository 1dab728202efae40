#include "core/search/space.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "core/base/error.h"
#include "core/recipe/fields.h"
#include "core/recipe/place.h"

namespace qlora::search {

using recipe::Field;
using recipe::Problem;

namespace {

bool numeric(const Field& field) {
    return (field.type == Field::Type::integer || field.type == Field::Type::real) && field.choices.empty();
}

bool whole(const Axis& axis) { return recipe::find_field(axis.key)->type == Field::Type::integer; }

// To so many significant figures, and still inside the range.
double rounded(double value, int figures, const Axis& axis) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*e", figures - 1, value);
    for (char& c : text)
        if (c == ',') c = '.';  // some locales' mark
    double number = value;
    std::from_chars(text, text + sizeof text, number);
    return std::clamp(number, axis.low, axis.high);
}

Json number(const Axis& axis, double value, int figures) {
    if (whole(axis)) return std::clamp(std::llround(value), std::llround(axis.low), std::llround(axis.high));
    return rounded(value, figures, axis);
}

class AxisReader {
  public:
    AxisReader(const std::filesystem::path& folder, std::vector<Problem>& problems) : folder_(folder), problems_(problems) {}

    void read(const std::string& key, const Json& json, std::vector<Axis>& axes) {
        where_ = "space." + key;
        field_ = recipe::find_field(key);
        if (field_ == nullptr) {
            const std::string nearest = recipe::nearest_key(key);
            return refuse("", "a key of a recipe", "an unknown key", nearest.empty() ? "" : "did you mean \"" + nearest + "\"?");
        }
        if (field_->key == "output" || field_->key == "name")
            return refuse("", "a field that changes what is learned", "\"" + field_->key + "\"", "leave it out");
        if (std::ranges::find(axes, field_->key, &Axis::key) != axes.end())
            return refuse("", "each field once", "\"" + field_->key + "\" again under another name", "keep one of them");
        Axis axis;
        axis.key = field_->key;
        const bool good = json.is_object() ? read_range(json, axis) : read_list(json, axis);
        if (good) axes.push_back(std::move(axis));
    }

  private:
    void refuse(const std::string& member, const std::string& expected, const std::string& got, const std::string& hint = {}) {
        problems_.push_back({where_ + member, expected, got, hint});
    }

    bool read_list(const Json& json, Axis& axis) {
        const Json list = json.is_array() ? json : Json::array({json});
        if (list.empty()) return refuse("", "a list of values or a range", "an empty list"), false;
        bool good = true;
        for (const Json& given : list) {
            Json value = given;
            if (field_->type == Field::Type::path && value.is_string()) value = recipe::placed(*field_, value.get<std::string>(), folder_);
            recipe::Recipe scratch;
            if (!field_->set(scratch, value)) {
                refuse("", field_->expected(), describe(given));
                good = false;
            } else if (const Json taken = field_->get(scratch); std::ranges::find(axis.values, taken) == axis.values.end()) {
                axis.values.push_back(taken);
            }
        }
        return good;
    }

    bool read_range(const Json& json, Axis& axis) {
        if (!numeric(*field_)) return refuse("", "a list of values, each " + field_->expected(), "a range"), false;
        const std::size_t before = problems_.size();
        for (const auto& [member, value] : json.items()) {
            if (member == "low" || member == "high") {
                recipe::Recipe scratch;
                if (!field_->set(scratch, value)) refuse("." + member, field_->expected(), describe(value));
                else (member == "low" ? axis.low : axis.high) = value.get<double>();
            } else if (member == "scale") {
                if (value != "log" && value != "linear") refuse(".scale", "\"linear\" or \"log\"", describe(value));
                else axis.scale = value == "log" ? Axis::Scale::log : Axis::Scale::linear;
            } else if (member == "points") {
                if (!value.is_number_integer() || value < 2 || value > 1000) refuse(".points", "an integer from 2 to 1000", describe(value));
                else axis.points = value.get<std::int64_t>();
            } else {
                refuse("." + member, "low, high, scale or points", "an unknown key");
            }
        }
        if (axis.scale == Axis::Scale::values) axis.scale = Axis::Scale::linear;
        for (const char* end : {"low", "high"})
            if (!json.contains(end)) refuse(std::string(".") + end, field_->expected(), "nothing");
        if (problems_.size() > before) return false;
        if (!(axis.low < axis.high)) refuse(".high", "more than low, " + Json(axis.low).dump(), Json(axis.high).dump());
        if (axis.scale == Axis::Scale::log && axis.low <= 0)
            refuse(".low", "more than 0 on a log scale", Json(axis.low).dump(), "raise it, or say \"scale\": \"linear\"");
        return problems_.size() == before;
    }

    const std::filesystem::path folder_;
    std::vector<Problem>& problems_;
    std::string where_;
    const Field* field_ = nullptr;
};

std::vector<std::string> parts_of(const std::string& text, char mark) {
    std::vector<std::string> parts{""};
    for (char c : text) {
        if (c == mark) parts.emplace_back();
        else parts.back() += c;
    }
    return parts;
}

Json end_of_range(const std::string& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return text;
    return value == std::floor(value) && std::abs(value) < 1e15 ? Json(static_cast<std::int64_t>(value)) : Json(value);
}

}  // namespace

std::vector<Axis> axes_from_json(const Json& json, const std::filesystem::path& folder, std::vector<Problem>& problems) {
    std::vector<Axis> axes;
    if (!json.is_object() || json.empty()) {
        problems.push_back({"space", "an object with the fields to vary", json.is_object() ? "none" : describe(json),
                            "such as \"space\": {\"method.rank\": [4, 8, 16]}"});
        return axes;
    }
    AxisReader reader(folder, problems);
    for (const auto& [key, value] : json.items()) reader.read(key, value, axes);
    std::ranges::sort(axes, {}, &Axis::key);
    return axes;
}

OrderedJson to_json(const std::vector<Axis>& axes) {
    OrderedJson json = OrderedJson::object();
    for (const Axis& axis : axes) {
        if (axis.scale == Axis::Scale::values) {
            json[axis.key] = axis.values;
            continue;
        }
        const auto end = [&](double value) { return whole(axis) ? OrderedJson(std::llround(value)) : OrderedJson(value); };
        json[axis.key] = {{"low", end(axis.low)}, {"high", end(axis.high)},
                          {"scale", axis.scale == Axis::Scale::log ? "log" : "linear"}, {"points", axis.points}};
    }
    return json;
}

std::pair<std::string, Json> parse_vary(const std::string& text) {
    const auto wrong = [&](const std::string& message) {
        return input_error("search.vary", "--vary", message + ", got \"" + text + "\"",
                           "For example: --vary train.learning_rate=1e-5..1e-2:log --vary method.rank=4,8,16");
    };
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) throw wrong("expected key=values or key=low..high");
    const std::string key = text.substr(0, equals), rest = text.substr(equals + 1);
    const Field* field = recipe::find_field(key);
    if (const auto dots = rest.find(".."); dots != std::string::npos && (field == nullptr || numeric(*field))) {
        const auto parts = parts_of(rest.substr(dots + 2), ':');
        Json range = {{"low", end_of_range(rest.substr(0, dots))}, {"high", end_of_range(parts[0])}};
        for (std::size_t i = 1; i < parts.size(); ++i) {
            if (parts[i] == "log" || parts[i] == "linear") range["scale"] = parts[i];
            else range["points"] = end_of_range(parts[i]);
        }
        return {key, range};
    }
    if (field == nullptr) return {key, Json::array({rest})};
    Json list = Json::array();
    for (const std::string& part : parts_of(rest, field->type == Field::Type::list ? '|' : ',')) {
        try {
            recipe::Recipe scratch;
            recipe::set(scratch, key + "=" + part);
            list.push_back(field->get(scratch));
        } catch (const Error&) {
            list.push_back(part);
        }
    }
    return {key, list};
}

std::vector<Json> grid_values(const Axis& axis) {
    if (axis.scale == Axis::Scale::values) return axis.values;
    std::vector<Json> values;
    for (std::int64_t i = 0; i < axis.points; ++i) {
        const double part = static_cast<double>(i) / static_cast<double>(axis.points - 1);
        const double at = axis.scale == Axis::Scale::log ? axis.low * std::pow(axis.high / axis.low, part)
                                                         : axis.low + (axis.high - axis.low) * part;
        const Json value = number(axis, at, 4);
        if (values.empty() || values.back() != value) values.push_back(value);
    }
    return values;
}

Json draw(const Axis& axis, RandomStream& random) {
    if (axis.scale == Axis::Scale::values) return axis.values[random.below(axis.values.size())];
    if (axis.scale == Axis::Scale::linear) {
        if (!whole(axis)) return number(axis, axis.low + (axis.high - axis.low) * random.uniform(), 3);
        const auto count = static_cast<std::uint64_t>(axis.high - axis.low) + 1;
        return std::llround(axis.low) + static_cast<std::int64_t>(random.below(count));
    }
    // Whole numbers: each takes what lies between it and the next.
    const double high = whole(axis) ? axis.high + 1 : axis.high;
    const double at = axis.low * std::pow(high / axis.low, random.uniform());
    return number(axis, whole(axis) ? std::floor(at) : at, 3);
}

bool set_values(recipe::Recipe& recipe, const Values& values) {
    recipe::Recipe changed = recipe;
    for (const auto& [key, value] : values) {
        const Field* field = recipe::find_field(key);
        if (field == nullptr || !field->set(changed, value)) return false;
    }
    recipe = std::move(changed);
    return true;
}

Values values_of(const recipe::Recipe& recipe, const std::vector<Axis>& axes) {
    Values values;
    for (const Axis& axis : axes) values[axis.key] = recipe::find_field(axis.key)->get(recipe);
    return values;
}

}  // namespace qlora::search
