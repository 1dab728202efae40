#pragma once
// A GGUF file, versions 2 and 3, little-endian. Specification: ggml's gguf.md.

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/file.h"
#include "core/formats/ggml_type.h"

namespace qlora::formats {

// The number of a metadata value's type in the file, and the index of its alternative in GgufValue.
enum class GgufType : std::uint32_t {
    u8,
    i8,
    u16,
    i16,
    u32,
    i32,
    f32,
    boolean,
    string,
    array,
    u64,
    i64,
    f64
};
std::string_view name(GgufType type);

// An array left where it is in the file: 150,000 tokens cost nothing until they are asked for.
struct GgufArray {
    GgufType element = GgufType::u8;  // never array: nested arrays are refused, as llama.cpp does
    std::uint64_t count = 0;
    std::span<const std::byte> bytes;  // the elements, as in the file
};

using GgufValue =
    std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, float,
                 bool, std::string, GgufArray, std::uint64_t, std::int64_t, double>;
std::string describe(const GgufValue& value);  // "the u32 49152", "an array of 49152 elements of type string"

struct GgufTensor {
    std::string name;
    GgmlType type = GgmlType::f32;
    // Row-major, as everywhere in this program: the file's dimensions in reverse, the last one being the row
    // that ggml's blocks divide. A linear layer's weight is [out, in].
    std::vector<std::int64_t> shape;
    // As in the file, aligned to its `general.alignment`; empty when the type is unknown (find() shows such a
    // tensor, at() refuses it).
    std::span<const std::byte> data;
};

struct GgufLimits {
    static constexpr std::uint64_t tensors = 131'072, values = 65'536, alignment = 65'536;
    static constexpr std::uint64_t strings = std::uint64_t{1} << 21,
                                   numbers = std::uint64_t{1} << 23;  // of one array
    static constexpr std::size_t key_bytes = 65'535, name_bytes = 64, dimensions = 4;
    static constexpr std::size_t text_bytes = std::size_t{32}
                                              << 20;  // keys, names and single strings together
};

// Memory-mapped: opening reads and checks everything before the tensors' data, in time proportional to that
// part of the file and in memory that the file's size bounds. Any thread may read; spans live as long as the
// object. Throws input_error: "gguf.magic", "gguf.version", "gguf.endian", "gguf.truncated", "gguf.limit",
// "gguf.key", "gguf.duplicate", "gguf.type", "gguf.array", "gguf.alignment", "gguf.name", "gguf.shape",
// "gguf.offset", each naming the key or tensor and the byte; the getters "gguf.field", naming the key,
// expected and got.
class GgufFile {
  public:
    explicit GgufFile(const std::filesystem::path& path);

    const std::filesystem::path& path() const noexcept { return file_.path(); }
    std::uint64_t file_bytes() const noexcept { return file_.bytes().size(); }
    std::uint32_t version() const noexcept { return version_; }
    std::uint64_t alignment() const noexcept { return alignment_; }

    std::span<const std::pair<std::string, GgufValue>> metadata() const noexcept {
        return metadata_;
    }  // file order
    bool has(std::string_view key) const noexcept { return value(key) != nullptr; }
    const GgufValue* value(std::string_view key) const noexcept;  // null when absent

    // Typed reading. Any integer type will do for integer() when the number lies in [low, high], any number
    // type for number(). Without a fallback a missing key throws; a wrong type or range always does.
    std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high) const;
    std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high,
                         std::int64_t fallback) const;
    double number(std::string_view key, double low, double high) const;
    double number(std::string_view key, double low, double high, double fallback) const;
    bool boolean(std::string_view key, bool fallback) const;
    std::string string(std::string_view key) const;  // valid UTF-8
    std::string string(std::string_view key, const std::string& fallback) const;
    // Arrays, copied. A token's text may be any bytes. Each element of integers() lies in [low, high].
    std::vector<std::string> strings(std::string_view key) const;
    std::vector<double> numbers(std::string_view key) const;
    std::vector<float> floats(std::string_view key) const;  // f32 arrays alone
    std::vector<std::int64_t> integers(std::string_view key, std::int64_t low = INT64_MIN,
                                       std::int64_t high = INT64_MAX) const;

    std::span<const GgufTensor> tensors() const noexcept { return tensors_; }  // file order
    const GgufTensor* find(std::string_view name) const noexcept;              // null when absent
    const GgufTensor& at(
        std::string_view name) const;  // throws "tensor.missing", or "gguf.type" for an unknown type

    // Call after the last read of arrays or tensors' data: throws when the file was cut short meanwhile.
    void check() const { file_.check(); }

    // Throws "gguf.field" for a key whose value does not fit what the caller needs.
    [[noreturn]] void fail(std::string_view key, const std::string& expected) const;

  private:
    const GgufArray& array(std::string_view key, const std::string& expected) const;

    MappedFile file_;
    std::uint32_t version_ = 0;
    std::uint64_t alignment_ = 32;
    std::vector<std::pair<std::string, GgufValue>> metadata_;
    std::vector<GgufTensor> tensors_;
    std::vector<std::uint32_t> keys_, names_;  // indices, ascending by text
};

}  // namespace qlora::formats
