#include "core/formats/gguf_header.h"

#include <algorithm>
#include <numeric>

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/formats/byte_reader.h"
#include "core/formats/names.h"
#include "core/formats/tensor_view.h"

namespace qlora::formats {

namespace {

constexpr std::uint32_t newest_version = 3;
constexpr std::uint64_t shortest_value = 8 + 4 + 1;       // a key's length, a type, a byte
constexpr std::uint64_t shortest_tensor = 8 + 4 + 4 + 8;  // a name's length, no dimensions, a type, an offset

template <typename Range, typename Text>
std::vector<std::uint32_t> sorted_indices(const Range& range, Text text) {
    std::vector<std::uint32_t> indices(range.size());
    std::iota(indices.begin(), indices.end(), 0u);
    std::ranges::sort(indices, {}, [&](std::uint32_t index) { return std::string_view(text(range[index])); });
    return indices;
}

class HeaderReader {
  public:
    HeaderReader(std::span<const std::byte> file, const std::string& where)
        : file_(file), reader_(file, "gguf.truncated", where), where_(where) {}

    GgufHeader read() {
        read_version();
        reader_.now_reading("the number of tensors");
        auto tensors = count(GgufLimits::tensors, shortest_tensor);
        reader_.now_reading("the number of metadata values");
        auto values = count(GgufLimits::values, shortest_value);
        for (std::uint64_t i = 0; i < values; ++i) read_entry();
        index_keys();
        read_alignment();
        for (std::uint64_t i = 0; i < tensors; ++i) read_tensor();
        index_names();
        lay_out();
        return std::move(header_);
    }

  private:
    [[noreturn]] void fail(const char* code, const std::string& message, const std::string& hint = {}) const {
        throw input_error(code, where_, message, hint);
    }
    [[noreturn]] void fail_here(const char* code, const std::string& message) const {
        fail(code, reader_.what() + ", before byte " + std::to_string(reader_.position()) + ": " + message);
    }

    void read_version() {
        reader_.now_reading("the magic number");
        auto magic = reader_.take(4);
        std::string_view text(reinterpret_cast<const char*>(magic.data()), magic.size());
        if (text != "GGUF")
            fail("gguf.magic", "expected a GGUF file, beginning with \"GGUF\", got " + in_quotes(text));
        reader_.now_reading("the version");
        auto version = reader_.number<std::uint32_t>();
        if (version != 0 && (version & 0xFFFF) == 0)
            fail("gguf.endian", "expected a little-endian file, got a big-endian one",
                 "Convert it with gguf_convert_endian.py of llama.cpp.");
        if (version == 1)
            fail("gguf.version",
                 "expected GGUF version 2 or 3, got version 1, which was in use for a week in August 2023",
                 "Convert the model again with a present llama.cpp.");
        if (version == 0 || version > newest_version)
            fail("gguf.version", "expected GGUF version 2 or 3, got " + std::to_string(version));
        header_.version = version;
    }

    // A count whose items take at least `bytes_each` of what is left of the file.
    std::uint64_t count(std::uint64_t most, std::uint64_t bytes_each) {
        auto number = reader_.number<std::uint64_t>();
        if (number > most)
            fail_here("gguf.limit",
                      "expected at most " + std::to_string(most) + ", got " + std::to_string(number));
        if (number > reader_.left() / bytes_each)
            fail_here("gguf.truncated", "expected " + std::to_string(number) + " of at least " +
                                            std::to_string(bytes_each) + " bytes each, got " +
                                            std::to_string(reader_.left()) + " bytes before the end");
        return number;
    }

    std::string keep(std::string_view text) {
        text_bytes_ += text.size();
        if (text_bytes_ > GgufLimits::text_bytes)
            fail_here("gguf.limit", "expected at most " + std::to_string(GgufLimits::text_bytes) +
                                        " bytes of keys, names and single strings, got more");
        return std::string(text);
    }

    void read_entry() {
        reader_.now_reading("a metadata key");
        std::string_view key = reader_.text();
        if (key.empty() || key.size() > GgufLimits::key_bytes || !valid_utf8(key))
            fail_here("gguf.key", "expected 1 to " + std::to_string(GgufLimits::key_bytes) +
                                      " bytes of UTF-8, got " + std::to_string(key.size()) +
                                      " bytes: " + in_quotes(key));
        reader_.now_reading("the key", key);
        std::string kept = keep(key);
        header_.metadata.emplace_back(std::move(kept), read_value(read_type()));
    }

    GgufType read_type() {
        auto number = reader_.number<std::uint32_t>();
        if (number > static_cast<std::uint32_t>(GgufType::f64))
            fail_here("gguf.type", "expected a value type from 0 to 12, got " + std::to_string(number));
        return static_cast<GgufType>(number);
    }

    GgufValue read_value(GgufType type) {
        switch (type) {
            case GgufType::u8:
                return reader_.number<std::uint8_t>();
            case GgufType::i8:
                return reader_.number<std::int8_t>();
            case GgufType::u16:
                return reader_.number<std::uint16_t>();
            case GgufType::i16:
                return reader_.number<std::int16_t>();
            case GgufType::u32:
                return reader_.number<std::uint32_t>();
            case GgufType::i32:
                return reader_.number<std::int32_t>();
            case GgufType::f32:
                return reader_.number<float>();
            case GgufType::boolean:
                return reader_.number<std::uint8_t>() != 0;
            case GgufType::string:
                return keep(reader_.text());
            case GgufType::array:
                return read_array();
            case GgufType::u64:
                return reader_.number<std::uint64_t>();
            case GgufType::i64:
                return reader_.number<std::int64_t>();
            case GgufType::f64:
                break;
        }
        return reader_.number<double>();
    }

    GgufArray read_array() {
        GgufArray array;
        array.element = read_type();
        if (array.element == GgufType::array)
            fail_here("gguf.array", "expected an array of numbers or strings, got an array of arrays");
        bool strings = array.element == GgufType::string;
        std::uint64_t bytes_each = strings ? 8 : element_bytes(array.element);
        array.count = count(strings ? GgufLimits::strings : GgufLimits::numbers, bytes_each);
        if (!strings) {
            array.bytes = reader_.take(array.count * bytes_each);
            return array;
        }
        std::size_t begin = reader_.position();
        for (std::uint64_t i = 0; i < array.count; ++i) reader_.text();
        array.bytes = file_.subspan(begin, reader_.position() - begin);
        return array;
    }

    void index_keys() {
        auto text = [](const auto& entry) -> const std::string& { return entry.first; };
        header_.keys = sorted_indices(header_.metadata, text);
        auto twice = std::ranges::adjacent_find(
            header_.keys, {}, [&](auto i) { return std::string_view(text(header_.metadata[i])); });
        if (twice != header_.keys.end())
            fail("gguf.duplicate", "the key " + in_quotes(header_.metadata[*twice].first) + " appears twice");
    }

    void read_alignment() {
        constexpr std::string_view key = "general.alignment";
        auto entry = std::ranges::find(header_.metadata, key,
                                       [](const auto& entry) { return std::string_view(entry.first); });
        if (entry == header_.metadata.end()) return;
        auto alignment = std::get_if<std::uint32_t>(&entry->second);
        if (!alignment || !std::has_single_bit(*alignment) || *alignment > GgufLimits::alignment)
            fail("gguf.alignment",
                 "the key " + in_quotes(key) + ": expected a u32 that is a power of two up to " +
                     std::to_string(GgufLimits::alignment) + ", got " + describe(entry->second));
        header_.alignment = *alignment;
    }

    void read_tensor() {
        reader_.now_reading("a tensor's name");
        std::string_view tensor_name = reader_.text();
        if (tensor_name.empty() || tensor_name.size() > GgufLimits::name_bytes || !valid_utf8(tensor_name) ||
            tensor_name.find('\0') != std::string_view::npos)
            fail_here("gguf.name", "expected 1 to " + std::to_string(GgufLimits::name_bytes) +
                                       " bytes of UTF-8, got " + std::to_string(tensor_name.size()) +
                                       " bytes: " + in_quotes(tensor_name));
        reader_.now_reading("the tensor", tensor_name);
        GgufTensor tensor;
        tensor.name = keep(tensor_name);
        auto dimensions = reader_.number<std::uint32_t>();
        if (dimensions > GgufLimits::dimensions)
            fail_here("gguf.shape", "expected at most " + std::to_string(GgufLimits::dimensions) +
                                        " dimensions, got " + std::to_string(dimensions));
        tensor.shape.resize(dimensions);
        for (auto dimension = tensor.shape.rbegin(); dimension != tensor.shape.rend(); ++dimension)
            *dimension = reader_.number<std::int64_t>();
        tensor.type = static_cast<GgmlType>(reader_.number<std::uint32_t>());
        if (!checked_elements(tensor.shape))
            fail_here("gguf.shape", "expected dimensions from 0 whose product is below 2^63, got " +
                                        describe(tensor.shape));
        if (block_shape(tensor.type) && !tensor_bytes(tensor.type, tensor.shape))
            fail_here("gguf.shape", "expected rows of whole blocks of " +
                                        std::to_string(block_shape(tensor.type)->elements) +
                                        " elements and fewer than 2^63 bytes for " +
                                        formats::name(tensor.type) + ", got the shape " +
                                        describe(tensor.shape));
        offsets_.push_back(reader_.number<std::uint64_t>());
        header_.tensors.push_back(std::move(tensor));
    }

    void index_names() {
        auto text = [](const GgufTensor& tensor) -> const std::string& { return tensor.name; };
        header_.names = sorted_indices(header_.tensors, text);
        auto twice = std::ranges::adjacent_find(
            header_.names, {}, [&](auto i) { return std::string_view(header_.tensors[i].name); });
        if (twice != header_.names.end())
            fail("gguf.duplicate",
                 "the tensor " + in_quotes(header_.tensors[*twice].name) + " appears twice");
    }

    // Gives each tensor its bytes. They lie one behind the other in the order of the header, each aligned;
    // behind a tensor of unknown type the next one may begin at any aligned byte.
    void lay_out() {
        if (header_.tensors.empty()) return;
        auto start = checked_align(reader_.position(), header_.alignment);
        std::uint64_t expected = 0;
        bool after_unknown = false;
        for (std::size_t i = 0; i < header_.tensors.size(); ++i) {
            GgufTensor& tensor = header_.tensors[i];
            std::uint64_t offset = offsets_[i];
            auto refuse = [&](const std::string& message) {
                fail("gguf.offset", "the tensor " + in_quotes(tensor.name) + ": " + message +
                                        ", got the offset " + std::to_string(offset));
            };
            if (offset % header_.alignment != 0)
                refuse("expected an offset that is a multiple of " + std::to_string(header_.alignment));
            if (after_unknown ? offset < expected : offset != expected)
                refuse("expected its data at " + std::string(after_unknown ? "or behind " : "") +
                       std::to_string(expected));
            auto bytes = tensor_bytes(tensor.type, tensor.shape);
            after_unknown = !bytes;
            auto begin = checked_add(*start, offset);
            auto end = begin ? checked_add(*begin, bytes.value_or(0)) : std::nullopt;
            auto next = bytes ? checked_add(offset, *bytes) : std::optional(offset);
            next = next ? checked_align(*next, header_.alignment) : std::nullopt;
            if (!end || !next || *end > file_.size())
                fail("gguf.truncated",
                     "the tensor " + in_quotes(tensor.name) + ": expected its " +
                         std::to_string(bytes.value_or(0)) + " bytes at offset " + std::to_string(offset) +
                         " inside the file, which has " + std::to_string(file_.size()) +
                         " bytes, its data beginning at " + std::to_string(*start),
                     "The file is cut short or damaged: fetch it again.");
            if (bytes) tensor.data = file_.subspan(*begin, *bytes);
            expected = *next;
        }
    }

    std::span<const std::byte> file_;
    ByteReader reader_;
    const std::string& where_;
    GgufHeader header_;
    std::vector<std::uint64_t> offsets_;
    std::size_t text_bytes_ = 0;
};

}  // namespace

std::size_t element_bytes(GgufType type) {
    switch (type) {
        case GgufType::u8:
        case GgufType::i8:
        case GgufType::boolean:
            return 1;
        case GgufType::u16:
        case GgufType::i16:
            return 2;
        case GgufType::u32:
        case GgufType::i32:
        case GgufType::f32:
            return 4;
        case GgufType::u64:
        case GgufType::i64:
        case GgufType::f64:
            return 8;
        case GgufType::string:
        case GgufType::array:
            break;
    }
    return 0;
}

GgufHeader read_gguf_header(std::span<const std::byte> file, const std::string& where) {
    return HeaderReader(file, where).read();
}

}  // namespace qlora::formats
