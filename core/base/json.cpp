#include "core/base/json.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

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

// Walks over the text and leaves in `last` where it is: the parser tells a handler no positions.
struct Tracked {
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;
    using iterator_category = std::forward_iterator_tag;

    const char* at;
    const char** last;

    reference operator*() const { return *at; }
    Tracked& operator++() {
        *last = at++;
        return *this;
    }
    bool operator==(const Tracked& other) const { return at == other.at; }
};

// Builds the value while refusing depth and duplicate keys: the object being filled is what tells a key's
// second coming, so that strictness costs no memory and hardly any time.
class StrictBuilder : public nlohmann::json_sax<Json> {
  public:
    StrictBuilder(std::string_view text, const std::string& where, int depth_limit)
        : text_(text), where_(where), depth_limit_(static_cast<std::size_t>(depth_limit)) {}

    Json take() { return std::move(root_); }
    Tracked begin() { return {text_.data(), &last_}; }
    Tracked end() { return {text_.data() + text_.size(), &last_}; }

    bool null() override { return put(nullptr); }
    bool boolean(bool value) override { return put(value); }
    bool number_integer(std::int64_t value) override { return put(value); }
    bool number_unsigned(std::uint64_t value) override { return put(value); }
    bool number_float(double value, const std::string&) override { return put(value); }
    bool string(std::string& value) override { return put(std::move(value)); }
    bool binary(Json::binary_t&) override { return false; }  // no such thing in a text
    bool start_object(std::size_t) override { return open(Json::object()); }
    bool start_array(std::size_t) override { return open(Json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }

    bool key(std::string& name) override {
        auto [member, fresh] = open_.back()->get_ref<Json::object_t&>().emplace(std::move(name), nullptr);
        if (!fresh)
            throw input_error("json.duplicate_key", where_,
                              "the key " + describe(Json(member->first)) + " appears twice in one object, again at " + here(),
                              "Keep one of them.");
        member_ = &member->second;
        return true;
    }

    bool parse_error(std::size_t byte, const std::string& last_read, const Json::exception& error) override {
        bool number = dynamic_cast<const Json::out_of_range*>(&error) != nullptr;
        refuse(byte, number ? "a number too large for 64 bits of floating point"
                            : reason_of(error.what(), last_read.size()));
    }

    [[noreturn]] void refuse(std::size_t byte, const std::string& reason) const {
        bool utf8 = reason.find("UTF-8") != std::string::npos;
        throw input_error(
            utf8 ? "json.utf8" : "json.syntax", where_,
            "not valid JSON at " + line_and_column(text_, byte ? byte - 1 : 0) + " (" + reason + ")");
    }

  private:
    // "... while parsing value - invalid literal; last read: 'x'; expected '['" without what was read: it may
    // be long, is not always text, and may itself look like the rest of the sentence.
    static std::string reason_of(std::string_view what, std::size_t read_bytes) {
        constexpr std::string_view before = "; last read: '", after = "'";
        std::size_t begin = what.find(" - "), read = what.find(before);
        if (begin == std::string_view::npos || begin > read) return "a syntax error";
        if (read == std::string_view::npos) return std::string(what.substr(begin + 3));
        std::size_t rest = std::min(read + before.size() + read_bytes + after.size(), what.size());
        return std::string(what.substr(begin + 3, read - begin - 3)) + std::string(what.substr(rest));
    }

    template <typename Value>
    Json* place(Value&& value) {
        if (open_.empty()) return &(root_ = std::forward<Value>(value));
        if (open_.back()->is_array())
            return &open_.back()->get_ref<Json::array_t&>().emplace_back(std::forward<Value>(value));
        return &(*member_ = std::forward<Value>(value));
    }
    template <typename Value>
    bool put(Value&& value) {
        place(std::forward<Value>(value));
        return true;
    }
    bool open(Json value) {
        if (open_.size() >= depth_limit_)
            throw input_error("json.depth", where_,
                              "nested deeper than " + std::to_string(depth_limit_) + " levels at " + here());
        open_.push_back(place(std::move(value)));
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    // Of the last character that was read.
    std::string here() const { return line_and_column(text_, static_cast<std::size_t>(last_ - text_.data())); }

    std::string_view text_;
    const char* last_ = text_.data();
    const std::string& where_;
    std::size_t depth_limit_;
    Json root_;
    std::vector<Json*> open_;  // the values around the present one; each stays in place until it is closed
    Json* member_ = nullptr;   // of the innermost object, waiting for its value
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
    StrictBuilder builder(text, where, limits.depth);
    // The library takes a NUL for the end of the text and would not look at what follows.
    if (std::size_t nul = text.find('\0'); nul != std::string_view::npos)
        builder.refuse(nul + 1, "a NUL byte");
    Json::sax_parse(builder.begin(), builder.end(), &builder);
    return builder.take();
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

std::vector<std::string> JsonObject::unasked() const {
    std::vector<std::string> keys;
    for (const auto& [key, value] : value_->items())
        if (!asked_->contains(key)) keys.push_back(key);
    return keys;
}

bool JsonObject::has(const char* key) const {
    asked_->insert(key);
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

std::int64_t JsonObject::integer(const char* key, std::int64_t low, std::int64_t high,
                                 std::int64_t fallback) const {
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
