#include "core/formats/safetensors_header.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/formats/json_cursor.h"
#include "core/formats/names.h"
#include "core/formats/safetensors.h"

namespace qlora::formats {

namespace {

constexpr std::uint64_t length_bytes = 8;
constexpr std::size_t entry_bytes = 128;  // what a metadata entry costs beside its text

class HeaderReader {
  public:
    HeaderReader(std::string_view json, std::span<const std::byte> data, const std::string& where)
        : json_(json, "safetensors.header", where), data_(data), where_(where) {}

    SafetensorsHeader read() {
        json_.begin_object();
        std::string name;
        while (json_.next_key(name, SafetensorsLimits::name_bytes)) {
            if (name == "__metadata__") {
                read_metadata();
            } else {
                header_.tensors.push_back(read_tensor(name));
            }
        }
        json_.end_of_text();
        sort();
        check_cover();
        return std::move(header_);
    }

  private:
    [[noreturn]] void fail(const char* code, const TensorView& tensor, const std::string& message) const {
        throw input_error(code, where_, "the tensor " + in_quotes(tensor.name) + ": " + message);
    }

    void count_text(std::size_t bytes) {
        text_bytes_ += bytes;
        if (text_bytes_ > SafetensorsLimits::text_bytes)
            throw input_error("safetensors.limit", where_,
                              "expected at most " + std::to_string(SafetensorsLimits::text_bytes) +
                                  " bytes of names and metadata, got more");
    }

    void read_metadata() {
        if (std::exchange(has_metadata_, true))
            throw input_error("safetensors.duplicate", where_, "the header holds __metadata__ twice");
        if (json_.peek() != '{')
            throw input_error("safetensors.metadata", where_, "__metadata__: expected an object of strings");
        json_.begin_object();
        std::string key, value;
        while (json_.next_key(key, SafetensorsLimits::text_bytes)) {
            if (json_.peek() != '"')
                throw input_error("safetensors.metadata", where_,
                                  "__metadata__, " + in_quotes(key) + ": expected a string");
            json_.string(value, SafetensorsLimits::text_bytes);
            count_text(key.size() + value.size() + entry_bytes);
            if (!header_.metadata.emplace(key, value).second)
                throw input_error("safetensors.duplicate", where_,
                                  "__metadata__ holds " + in_quotes(key) + " twice");
        }
    }

    TensorView read_tensor(const std::string& name) {
        if (header_.tensors.size() == SafetensorsLimits::tensors)
            throw input_error(
                "safetensors.limit", where_,
                "expected at most " + std::to_string(SafetensorsLimits::tensors) + " tensors, got more");
        count_text(name.size());
        TensorView tensor;
        tensor.name = name;
        if (name.find('\0') != std::string::npos) fail("safetensors.entry", tensor, "its name holds a NUL");
        if (json_.peek() != '{')
            fail("safetensors.entry", tensor, "expected an object with dtype, shape and data_offsets");

        std::optional<DType> dtype;
        std::optional<std::vector<std::int64_t>> shape;
        std::optional<std::pair<std::uint64_t, std::uint64_t>> offsets;
        json_.begin_object();
        while (json_.next_key(field_, SafetensorsLimits::name_bytes)) {
            auto once = [&](bool seen) {
                if (seen)
                    fail("safetensors.duplicate", tensor,
                         "its field " + in_quotes(field_) + " appears twice");
            };
            if (field_ == "dtype") {
                once(dtype.has_value());
                dtype = read_dtype(tensor);
            } else if (field_ == "shape") {
                once(shape.has_value());
                shape = read_shape(tensor);
            } else if (field_ == "data_offsets") {
                once(offsets.has_value());
                offsets = read_offsets(tensor);
            } else {
                json_.skip_value();
            }
        }
        const char* absent = !dtype ? "dtype" : !shape ? "shape" : !offsets ? "data_offsets" : nullptr;
        if (absent) fail("safetensors.entry", tensor, std::string("its field \"") + absent + "\" is missing");
        tensor.dtype = *dtype;
        tensor.shape = std::move(*shape);
        tensor.data = slice(tensor, offsets->first, offsets->second);
        return tensor;
    }

    DType read_dtype(const TensorView& tensor) {
        if (json_.peek() != '"') fail("safetensors.dtype", tensor, "dtype: expected a string");
        json_.string(scratch_, SafetensorsLimits::name_bytes);
        auto dtype = dtype_of(scratch_);
        if (!dtype)
            fail("safetensors.dtype", tensor,
                 "dtype: expected one of the format's types (F32, BF16, ...), got " + in_quotes(scratch_));
        return *dtype;
    }

    std::vector<std::int64_t> read_shape(const TensorView& tensor) {
        if (json_.peek() != '[')
            fail("safetensors.shape", tensor, "shape: expected an array of whole numbers");
        std::vector<std::int64_t> shape;
        json_.begin_array();
        while (json_.next_element()) {
            if (shape.size() == SafetensorsLimits::dimensions)
                fail("safetensors.shape", tensor,
                     "shape: expected at most " + std::to_string(SafetensorsLimits::dimensions) +
                         " dimensions, got more");
            shape.push_back(static_cast<std::int64_t>(whole_number("safetensors.shape", tensor, "shape")));
        }
        return shape;
    }

    std::pair<std::uint64_t, std::uint64_t> read_offsets(const TensorView& tensor) {
        constexpr const char* code = "safetensors.offsets";
        if (json_.peek() != '[') fail(code, tensor, "data_offsets: expected an array of two whole numbers");
        json_.begin_array();
        std::uint64_t offsets[2]{};
        for (auto& offset : offsets) {
            if (!json_.next_element()) fail(code, tensor, "data_offsets: expected two numbers, got fewer");
            offset = whole_number(code, tensor, "data_offsets");
        }
        if (json_.next_element()) fail(code, tensor, "data_offsets: expected two numbers, got more");
        return {offsets[0], offsets[1]};
    }

    std::uint64_t whole_number(const char* code, const TensorView& tensor, const char* field) {
        auto refuse = [&](const std::string& got) {
            fail(code, tensor, std::string(field) + ": expected a whole number from 0 to 2^63 - 1" + got);
        };
        char c = json_.peek();
        if (c != '-' && (c < '0' || c > '9')) refuse("");
        std::string_view text = json_.number();
        std::int64_t number = 0;
        auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc() || end != text.data() + text.size() || number < 0)
            refuse(", got " + in_quotes(text));
        return static_cast<std::uint64_t>(number);
    }

    std::span<const std::byte> slice(const TensorView& tensor, std::uint64_t begin, std::uint64_t end) const {
        auto refuse = [&](const std::string& expected) {
            fail("safetensors.offsets", tensor,
                 "data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) + "]: expected " +
                     expected);
        };
        auto kind = [&] { return std::string(name(tensor.dtype)) + " " + describe(tensor.shape); };
        if (begin > end) refuse("an end not before the beginning");
        if (end > data_.size())
            refuse("both inside the file's " + std::to_string(data_.size()) + " bytes of data");
        auto bytes = tensor_bytes(tensor.dtype, tensor.shape);
        if (!bytes) fail("safetensors.shape", tensor, kind() + " has no size in whole bytes below 2^63");
        if (*bytes != end - begin)
            refuse(std::to_string(*bytes) + " bytes for " + kind() + ", got " + std::to_string(end - begin));
        return data_.subspan(begin, end - begin);
    }

    void sort() {
        auto place = [](const TensorView& tensor) {
            return std::tuple(tensor.data.data(), tensor.data.size(), std::string_view(tensor.name));
        };
        std::ranges::sort(header_.tensors, {}, place);
        auto name = [&](std::uint32_t index) { return std::string_view(header_.tensors[index].name); };
        header_.by_name.resize(header_.tensors.size());
        std::iota(header_.by_name.begin(), header_.by_name.end(), 0u);
        std::ranges::sort(header_.by_name, {}, name);
        auto twice = std::ranges::adjacent_find(header_.by_name, {}, name);
        if (twice != header_.by_name.end())
            fail("safetensors.duplicate", header_.tensors[*twice], "it appears twice in the header");
    }

    // The tensors, in order of place, fill the data without a hole or an overlap.
    void check_cover() const {
        const std::byte* expected = data_.data();
        auto offset = [&](const std::byte* at) { return std::to_string(at - data_.data()); };
        for (const TensorView& tensor : header_.tensors) {
            if (tensor.data.data() != expected)
                fail("safetensors.offsets", tensor,
                     "expected its data at byte " + offset(expected) + ", behind the tensor before it, got " +
                         offset(tensor.data.data()) +
                         (tensor.data.data() < expected ? " (they overlap)" : " (a hole)"));
            expected += tensor.data.size();
        }
        if (expected != data_.data() + data_.size())
            throw input_error("safetensors.offsets", where_,
                              "expected the tensors to end where the file does, at byte " +
                                  std::to_string(data_.size()) + " of the data, got " + offset(expected),
                              "The file is cut short or has something appended: fetch it again.");
    }

    JsonCursor json_;
    std::span<const std::byte> data_;
    const std::string& where_;
    SafetensorsHeader header_;
    std::string field_, scratch_;
    std::size_t text_bytes_ = 0;
    bool has_metadata_ = false;
};

}  // namespace

SafetensorsHeader read_header(std::span<const std::byte> file, const std::string& where) {
    auto refuse = [&](const std::string& message) {
        return input_error("safetensors.header", where, message,
                           "It is no safetensors file, or is cut short: fetch it again.");
    };
    if (file.size() < length_bytes)
        throw refuse("expected at least " + std::to_string(length_bytes) + " bytes, got " +
                     std::to_string(file.size()));
    std::uint64_t length;
    std::memcpy(&length, file.data(), length_bytes);
    if (length > SafetensorsLimits::header_bytes)
        throw refuse("expected a header of at most " + std::to_string(SafetensorsLimits::header_bytes) +
                     " bytes, got the length " + std::to_string(length));
    if (length > file.size() - length_bytes)
        throw refuse("expected the header inside the file, got a header of " + std::to_string(length) +
                     " bytes in a file of " + std::to_string(file.size()));
    auto header = file.subspan(length_bytes, length);
    std::string_view json(reinterpret_cast<const char*>(header.data()), header.size());
    if (!json.starts_with('{')) throw refuse("expected the header to begin with \"{\"");
    return HeaderReader(json, file.subspan(length_bytes + length), where).read();
}

}  // namespace qlora::formats
