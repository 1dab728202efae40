#include "core/base/json.h"

#include <cmath>
#include <memory>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"

namespace qlora {

std::string line_and_column(std::string_view text, std::size_t byte) {
    byte = std::min(byte, text.size());
    auto before = text.substr(0, byte);
    auto line = 1 + std::count(before.begin(), before.end(), '\n');
    auto last = before.rfind('\n');
    auto column = byte - (last == std::string_view::npos ? 0 : last + 1) + 1;
    return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

namespace {

// Refuses depth and duplicate keys while nlohmann builds the value.
class StrictReader {
  public:
    StrictReader(const std::string& where, int depth_limit) : where_(where), depth_limit_(depth_limit) {}

    bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
        if (depth >= depth_limit_)
            throw input_error("json.depth", where_, "nested deeper than " + std::to_string(depth_limit_) + " levels");
        if (event == Json::parse_event_t::object_start) keys_.emplace_back();
        if (event == Json::parse_event_t::object_end) keys_.pop_back();
        if (event == Json::parse_event_t::key && !keys_.back().insert(parsed.get<std::string>()).second)
            throw input_error("json.duplicate_key", where_,
                              "the key " + describe(parsed) + " appears twice in one object", "Keep one of them.");
        return true;
    }

  private:
    const std::string& where_;
    int depth_limit_;
    std::vector<std::set<std::string>> keys_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where, JsonLimits limits) {
    if (text.size() > limits.bytes)
        throw input_error("json.too_large", where,
                          "expected at most " + std::to_string(limits.bytes) + " bytes of JSON, got " +
                              std::to_string(text.size()));
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
        throw input_error("json.syntax", where, "expected JSON, got an empty text");
    auto reader = std::make_shared<StrictReader>(where, limits.depth);
    auto refuse = [&](const Json::exception& error, std::size_t byte) {
        std::string reason = error.what();
        bool utf8 = reason.find("UTF-8") != std::string::npos;
        reason = reason.substr(reason.rfind("; ") == std::string::npos ? 0 : reason.find("; ") + 2);
        return input_error(utf8 ? "json.utf8" : "json.syntax", where,
                           "not valid JSON at " + line_and_column(text, byte ? byte - 1 : 0) + " (" + reason + ")");
    };
    try {
        return Json::parse(text, [reader](int depth, Json::parse_event_t event, Json& parsed) {
            return (*reader)(depth, event, parsed);
        });
    } catch (const Json::parse_error& error) {
        throw refuse(error, error.byte);
    } catch (const Json::out_of_range& error) {  // a number such as 1e400
        throw refuse(error, 0);
    }
}

Json read_json_file(const std::filesystem::path& path, JsonLimits limits) {
    return parse_json(read_file(path, limits.bytes), path.string(), limits);
}

std::string describe(const Json& value) {
    if (value.is_object()) return "an object";
    if (value.is_array()) return "an array";
    std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    if (value.is_string()) return "the string " + text;
    return text;
}

JsonObject::JsonObject(const Json& value, std::string where) : value_(&value), where_(std::move(where)) {
    if (!value.is_object())
        throw input_error("json.field", where_, "expected a JSON object, got " + describe(value));
}

bool JsonObject::has(const char* key) const {
    auto it = value_->find(key);
    return it != value_->end() && !it->is_null();
}

void JsonObject::fail(const char* key, const std::string& expected) const {
    auto it = value_->find(key);
    throw input_error("json.field", where_,
                      std::string("the field \"") + key + "\": expected " + expected + ", got " +
                          (it == value_->end() ? "nothing" : describe(*it)));
}

const Json& JsonObject::value(const char* key) const {
    if (!has(key)) fail(key, "a value");
    return (*value_)[key];
}

std::int64_t JsonObject::integer(const char* key, std::int64_t low, std::int64_t high) const {
    std::string expected = "an integer from " + std::to_string(low) + " to " + std::to_string(high);
    if (!has(key)) fail(key, expected);
    const Json& field = (*value_)[key];
    if (field.is_number_unsigned() && field.get<std::uint64_t>() > INT64_MAX) fail(key, expected);
    if (!field.is_number_integer()) fail(key, expected);
    auto number = field.get<std::int64_t>();
    if (number < low || number > high) fail(key, expected);
    return number;
}

std::int64_t JsonObject::integer(const char* key, std::int64_t low, std::int64_t high, std::int64_t fallback) const {
    return has(key) ? integer(key, low, high) : fallback;
}

double JsonObject::number(const char* key, double low, double high) const {
    auto text = [](double v) { return Json(v).dump(); };
    std::string expected = "a number from " + text(low) + " to " + text(high);
    if (!has(key) || !(*value_)[key].is_number()) fail(key, expected);
    double number = (*value_)[key].get<double>();
    if (!std::isfinite(number) || number < low || number > high) fail(key, expected);
    return number;
}

double JsonObject::number(const char* key, double low, double high, double fallback) const {
    return has(key) ? number(key, low, high) : fallback;
}

bool JsonObject::boolean(const char* key, bool fallback) const {
    if (!has(key)) return fallback;
    if (!(*value_)[key].is_boolean()) fail(key, "true or false");
    return (*value_)[key].get<bool>();
}

std::string JsonObject::string(const char* key) const {
    if (!has(key) || !(*value_)[key].is_string()) fail(key, "a string");
    return (*value_)[key].get<std::string>();
}

std::string JsonObject::string(const char* key, const std::string& fallback) const {
    return has(key) ? string(key) : fallback;
}

}  // namespace qlora
