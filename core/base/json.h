#pragma once
// JSON read strictly: UTF-8 only, no duplicate keys, bounded depth, errors with line and column.

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace qlora {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

struct JsonLimits {
    std::size_t bytes = std::size_t{256} << 20;
    int depth = 128;
};

// Parses the whole of `text`; `where` (a path, perhaps with a line) names it in errors. Throws input_error
// "json.syntax", "json.depth", "json.duplicate_key", "json.utf8" or "json.too_large".
Json parse_json(std::string_view text, const std::string& where, JsonLimits limits = {});
Json read_json_file(const std::filesystem::path& path, JsonLimits limits = {});

// Typed reading of an object's fields. `where` names the object's file in errors; a field of another type, or a
// number out of [low, high], throws input_error "json.field" naming the key, what was expected and what was got.
class JsonObject {
  public:
    JsonObject(const Json& value, std::string where);  // throws when `value` is no object

    bool has(const char* key) const;  // present and not null
    std::int64_t integer(const char* key, std::int64_t low, std::int64_t high) const;
    std::int64_t integer(const char* key, std::int64_t low, std::int64_t high, std::int64_t fallback) const;
    double number(const char* key, double low, double high) const;
    double number(const char* key, double low, double high, double fallback) const;
    bool boolean(const char* key, bool fallback) const;
    std::string string(const char* key) const;
    std::string string(const char* key, const std::string& fallback) const;
    const Json& value(const char* key) const;  // throws when absent or null
    const Json& raw() const { return *value_; }
    // The keys that no call above has asked this object or a copy of it for, sorted.
    std::vector<std::string> unasked() const;
    const std::string& where() const { return where_; }

    // The error for a field: expected and what is there.
    [[noreturn]] void fail(const char* key, const std::string& expected) const;

  private:
    using Keys = std::set<std::string, std::less<>>;
    const Json* value_;
    std::string where_;
    std::shared_ptr<Keys> asked_ = std::make_shared<Keys>();
};

// A short description of a JSON value for messages: "the string \"4096\"", "null", "an array".
std::string describe(const Json& value);

// Line and column (from 1) of a byte offset.
std::string line_and_column(std::string_view text, std::size_t byte);

}  // namespace qlora
