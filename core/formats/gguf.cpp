#include "core/formats/gguf.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/formats/byte_reader.h"
#include "core/formats/file_kind.h"
#include "core/formats/gguf_header.h"
#include "core/formats/names.h"

namespace qlora::formats {

namespace {

constexpr std::array<std::string_view, 13> type_names{"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                      "bool", "string", "array", "u64", "i64", "f64"};

template <typename T>
constexpr bool is_whole = std::is_integral_v<T> && !std::is_same_v<T, bool>;

// The number that a value holds, when it is one and lies in [low, high].
std::optional<std::int64_t> whole_number(const GgufValue& value, std::int64_t low, std::int64_t high) {
    return std::visit(
        [&](const auto& v) -> std::optional<std::int64_t> {
            using T = std::decay_t<decltype(v)>;
            if constexpr (is_whole<T>) {
                if (std::cmp_greater_equal(v, low) && std::cmp_less_equal(v, high))
                    return static_cast<std::int64_t>(v);
            }
            return std::nullopt;
        },
        value);
}

std::optional<double> real_number(const GgufValue& value) {
    return std::visit(
        [](const auto& v) -> std::optional<double> {
            using T = std::decay_t<decltype(v)>;
            if constexpr (is_whole<T> || std::is_floating_point_v<T>) return static_cast<double>(v);
            return std::nullopt;
        },
        value);
}

// Calls `use` with each element of an array of numbers, as its own type.
template <typename Use>
void for_each_number(const GgufArray& array, const std::string& where, Use use) {
    ByteReader reader(array.bytes, "gguf.truncated", where);
    auto all = [&]<typename T>(T) {
        for (std::uint64_t i = 0; i < array.count; ++i) use(reader.number<T>());
    };
    switch (array.element) {
        case GgufType::u8:
            return all(std::uint8_t{});
        case GgufType::i8:
            return all(std::int8_t{});
        case GgufType::u16:
            return all(std::uint16_t{});
        case GgufType::i16:
            return all(std::int16_t{});
        case GgufType::u32:
            return all(std::uint32_t{});
        case GgufType::i32:
            return all(std::int32_t{});
        case GgufType::f32:
            return all(float{});
        case GgufType::u64:
            return all(std::uint64_t{});
        case GgufType::i64:
            return all(std::int64_t{});
        case GgufType::f64:
            return all(double{});
        case GgufType::boolean:
        case GgufType::string:
        case GgufType::array:
            return;
    }
}

std::string in_range(std::int64_t low, std::int64_t high) {
    if (low == INT64_MIN && high == INT64_MAX) return "";
    return " from " + std::to_string(low) + " to " + std::to_string(high);
}

std::string text_of(double number) {
    return Json(number).dump();
}

}  // namespace

std::string_view name(GgufType type) {
    return type_names[static_cast<std::size_t>(type)];
}

std::string describe(const GgufValue& value) {
    std::string type(type_names[value.index()]);
    return std::visit(
        [&](const auto& v) -> std::string {
            using T = std::decay_t<decltype(v)>;
            if constexpr (std::is_same_v<T, GgufArray>)
                return "an array of " + std::to_string(v.count) + " elements of type " +
                       std::string(name(v.element));
            else if constexpr (std::is_same_v<T, std::string>)
                return "the string " + in_quotes(v);
            else if constexpr (std::is_same_v<T, bool>)
                return v ? "true" : "false";
            else if constexpr (std::is_floating_point_v<T>)
                return "the " + type + " " +
                       (std::isfinite(v) ? text_of(v)
                        : std::isnan(v)  ? "NaN"
                                         : "infinity");
            else
                return "the " + type + " " + std::to_string(v);
        },
        value);
}

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path) {
    expect_kind(FileKind::gguf, file_.bytes(), path);
    GgufHeader header = read_gguf_header(file_.bytes(), path.string());
    file_.check();
    version_ = header.version;
    alignment_ = header.alignment;
    metadata_ = std::move(header.metadata);
    tensors_ = std::move(header.tensors);
    keys_ = std::move(header.keys);
    names_ = std::move(header.names);
}

const GgufValue* GgufFile::value(std::string_view key) const noexcept {
    auto key_of = [&](std::uint32_t index) { return std::string_view(metadata_[index].first); };
    auto it = std::ranges::lower_bound(keys_, key, {}, key_of);
    return it != keys_.end() && key_of(*it) == key ? &metadata_[*it].second : nullptr;
}

void GgufFile::fail(std::string_view key, const std::string& expected) const {
    const GgufValue* found = value(key);
    throw input_error("gguf.field", path().string(),
                      "the key " + in_quotes(key) + ": expected " + expected + ", got " +
                          (found ? describe(*found) : "nothing"));
}

std::int64_t GgufFile::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
    const GgufValue* found = value(key);
    auto number = found ? whole_number(*found, low, high) : std::nullopt;
    if (!number) fail(key, "a whole number" + in_range(low, high));
    return *number;
}

std::int64_t GgufFile::integer(std::string_view key, std::int64_t low, std::int64_t high,
                               std::int64_t fallback) const {
    return has(key) ? integer(key, low, high) : fallback;
}

double GgufFile::number(std::string_view key, double low, double high) const {
    const GgufValue* found = value(key);
    auto number = found ? real_number(*found) : std::nullopt;
    if (!number || !(*number >= low && *number <= high) || !std::isfinite(*number))
        fail(key, "a number from " + text_of(low) + " to " + text_of(high));
    return *number;
}

double GgufFile::number(std::string_view key, double low, double high, double fallback) const {
    return has(key) ? number(key, low, high) : fallback;
}

bool GgufFile::boolean(std::string_view key, bool fallback) const {
    const GgufValue* found = value(key);
    if (!found) return fallback;
    if (!std::holds_alternative<bool>(*found)) fail(key, "true or false");
    return std::get<bool>(*found);
}

std::string GgufFile::string(std::string_view key) const {
    const GgufValue* found = value(key);
    const auto* text = found ? std::get_if<std::string>(found) : nullptr;
    if (!text) fail(key, "a string");
    if (!valid_utf8(*text)) fail(key, "a string of UTF-8");
    return *text;
}

std::string GgufFile::string(std::string_view key, const std::string& fallback) const {
    return has(key) ? string(key) : fallback;
}

const GgufArray& GgufFile::array(std::string_view key, const std::string& expected) const {
    const GgufValue* found = value(key);
    const auto* array = found ? std::get_if<GgufArray>(found) : nullptr;
    if (!array) fail(key, expected);
    return *array;
}

std::vector<std::string> GgufFile::strings(std::string_view key) const {
    constexpr const char* expected = "an array of strings";
    const GgufArray& found = array(key, expected);
    if (found.element != GgufType::string) fail(key, expected);
    ByteReader reader(found.bytes, "gguf.truncated", path().string());
    reader.now_reading("the key", key);
    std::vector<std::string> texts;
    texts.reserve(found.count);
    for (std::uint64_t i = 0; i < found.count; ++i) texts.emplace_back(reader.text());
    check();
    return texts;
}

std::vector<double> GgufFile::numbers(std::string_view key) const {
    constexpr const char* expected = "an array of numbers";
    const GgufArray& found = array(key, expected);
    if (found.element == GgufType::string || found.element == GgufType::boolean) fail(key, expected);
    std::vector<double> values;
    values.reserve(found.count);
    for_each_number(found, path().string(), [&](auto v) { values.push_back(static_cast<double>(v)); });
    check();
    return values;
}

std::vector<float> GgufFile::floats(std::string_view key) const {
    constexpr const char* expected = "an array of f32 numbers";
    const GgufArray& found = array(key, expected);
    if (found.element != GgufType::f32) fail(key, expected);
    std::vector<float> values(found.count);
    if (!values.empty()) std::memcpy(values.data(), found.bytes.data(), found.bytes.size());
    check();
    return values;
}

std::vector<std::int64_t> GgufFile::integers(std::string_view key, std::int64_t low,
                                             std::int64_t high) const {
    std::string expected = "an array of whole numbers" + in_range(low, high);
    const GgufArray& found = array(key, expected);
    bool whole = found.element != GgufType::string && found.element != GgufType::boolean &&
                 found.element != GgufType::f32 && found.element != GgufType::f64;
    if (!whole) fail(key, expected);
    std::vector<std::int64_t> values;
    values.reserve(found.count);
    for_each_number(found, path().string(), [&](auto v) {
        auto number = whole_number(GgufValue(v), low, high);
        if (!number)
            throw input_error("gguf.field", path().string(),
                              "the key " + in_quotes(key) + ": expected " + expected + ", got " +
                                  describe(GgufValue(v)) + " at index " + std::to_string(values.size()));
        values.push_back(*number);
    });
    check();
    return values;
}

const GgufTensor* GgufFile::find(std::string_view name) const noexcept {
    auto name_of = [&](std::uint32_t index) { return std::string_view(tensors_[index].name); };
    auto it = std::ranges::lower_bound(names_, name, {}, name_of);
    return it != names_.end() && name_of(*it) == name ? &tensors_[*it] : nullptr;
}

const GgufTensor& GgufFile::at(std::string_view name) const {
    const GgufTensor* tensor = find(name);
    if (!tensor)
        throw input_error("tensor.missing", path().string(),
                          "expected the tensor " + in_quotes(name) + ", got none of that name");
    if (!block_shape(tensor->type))
        throw input_error("gguf.type", path().string(),
                          "the tensor " + in_quotes(name) + ": expected a type this program knows, got " +
                              formats::name(tensor->type),
                          "Use a version of the model that is quantized in one of the common types, such as "
                          "Q4_K_M or Q8_0.");
    return *tensor;
}

}  // namespace qlora::formats
