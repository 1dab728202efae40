#include "core/formats/numpy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/formats/byte_reader.h"
#include "core/formats/names.h"

namespace qlora::formats {

namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t longest_header = 65'535, most_dimensions = 32;

struct Row {
    std::string_view descr;
    DType dtype;
};

constexpr std::array<Row, 12> rows{{
    {"<f4", DType::f32},
    {"<f8", DType::f64},
    {"<f2", DType::f16},
    {"|b1", DType::boolean},
    {"|i1", DType::i8},
    {"<i2", DType::i16},
    {"<i4", DType::i32},
    {"<i8", DType::i64},
    {"|u1", DType::u8},
    {"<u2", DType::u16},
    {"<u4", DType::u32},
    {"<u8", DType::u64},
}};

// Reads the header, a Python dictionary literal of three keys in any order.
class HeaderReader {
  public:
    HeaderReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

    void read(NumpyArray& array) {
        bool descr = false, order = false, shape = false;
        expect('{');
        while (!take('}')) {
            std::string_view key = quotation();
            expect(':');
            bool* seen = key == "descr"           ? &descr
                         : key == "fortran_order" ? &order
                         : key == "shape"         ? &shape
                                                  : nullptr;
            if (!seen || *seen)
                fail("numpy.header",
                     "expected descr, fortran_order and shape once each, got " + in_quotes(key));
            *seen = true;
            if (seen == &descr) array.dtype = dtype();
            if (seen == &order) c_order();
            if (seen == &shape) array.shape = dimensions();
            if (!take(',')) {
                expect('}');
                break;
            }
        }
        skip_space();
        if (!text_.empty() || !descr || !order || !shape)
            fail("numpy.header", "expected descr, fortran_order and shape, and nothing more");
    }

  private:
    [[noreturn]] void fail(const char* code, const std::string& message) const {
        throw input_error(code, where_, message);
    }

    void skip_space() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n"), text_.size())); }

    bool take(char c) {
        skip_space();
        if (!text_.starts_with(c)) return false;
        text_.remove_prefix(1);
        return true;
    }

    void expect(char c) {
        if (!take(c))
            fail("numpy.header",
                 std::string("the header: expected '") + c + "', got " + in_quotes(text_.substr(0, 8)));
    }

    std::string_view quotation() {
        char quote = take('"') ? '"' : '\'';
        if (quote == '\'') expect('\'');
        std::size_t end = text_.find(quote);
        if (end == std::string_view::npos) fail("numpy.header", "the header: a string does not end");
        std::string_view inside = text_.substr(0, end);
        text_.remove_prefix(end + 1);
        return inside;
    }

    DType dtype() {
        skip_space();
        if (!text_.starts_with('\'') && !text_.starts_with('"'))
            fail("numpy.dtype", "descr: expected a plain type, got a structured one");
        std::string_view descr = quotation();
        auto row = std::ranges::find(rows, descr, &Row::descr);
        if (row == rows.end())
            fail("numpy.dtype",
                 "descr: expected little-endian numbers ('<f4', '<i8', '|u1', ...), got " + in_quotes(descr));
        return row->dtype;
    }

    void c_order() {
        skip_space();
        if (text_.starts_with("True"))
            fail("numpy.order", "expected C order, got Fortran order: save numpy.ascontiguousarray(array)");
        if (!text_.starts_with("False")) fail("numpy.header", "fortran_order: expected False");
        text_.remove_prefix(5);
    }

    std::vector<std::int64_t> dimensions() {
        std::vector<std::int64_t> shape;
        expect('(');
        while (!take(')')) {
            skip_space();
            std::int64_t dimension = -1;
            auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), dimension);
            if (error != std::errc() || dimension < 0 || shape.size() == most_dimensions)
                fail("numpy.shape", "shape: expected at most 32 whole numbers from 0 to 2^63 - 1");
            text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
            shape.push_back(dimension);
            if (!take(',')) {
                expect(')');
                break;
            }
        }
        return shape;
    }

    std::string_view text_;
    const std::string& where_;
};

}  // namespace

NumpyArray read_numpy(const std::filesystem::path& path) {
    MappedFile file(path);
    std::string where = path.string();
    ByteReader reader(file.bytes(), "numpy.header", where);
    auto begin = reader.take(magic.size());
    if (std::string_view(reinterpret_cast<const char*>(begin.data()), begin.size()) != magic)
        throw input_error("numpy.header", where, "expected a NumPy file, beginning with \"\\x93NUMPY\"");
    auto major = reader.number<std::uint8_t>();
    auto minor = reader.number<std::uint8_t>();
    if (major < 1 || major > 3 || minor != 0)
        throw input_error(
            "numpy.header", where,
            "expected version 1.0, 2.0 or 3.0, got " + std::to_string(major) + "." + std::to_string(minor));
    std::uint32_t length = major == 1 ? reader.number<std::uint16_t>() : reader.number<std::uint32_t>();
    if (length > longest_header)
        throw input_error("numpy.header", where,
                          "expected a header of at most 65535 bytes, got " + std::to_string(length));
    auto header = reader.take(length);
    NumpyArray array;
    HeaderReader({reinterpret_cast<const char*>(header.data()), header.size()}, where).read(array);
    auto bytes = tensor_bytes(array.dtype, array.shape);
    if (!bytes)
        throw input_error("numpy.shape", where,
                          "expected fewer than 2^63 bytes, got the shape " + describe(array.shape));
    if (*bytes != reader.left())
        throw input_error("numpy.size", where,
                          "expected " + std::to_string(*bytes) + " bytes of data for " +
                              std::string(name(array.dtype)) + " " + describe(array.shape) + ", got " +
                              std::to_string(reader.left()));
    auto data = reader.take(*bytes);
    array.data.assign(data.begin(), data.end());
    file.check();
    return array;
}

void write_numpy(const std::filesystem::path& path, DType dtype, std::span<const std::int64_t> shape,
                 std::span<const std::byte> data) {
    auto row = std::ranges::find(rows, dtype, &Row::dtype);
    if (row == rows.end())
        throw failure("numpy.write", path.string(), "NumPy has no type for " + std::string(name(dtype)));
    if (tensor_bytes(dtype, shape) != data.size())
        throw failure("numpy.write", path.string(),
                      "expected the bytes of " + std::string(name(dtype)) + " " + describe(shape) + ", got " +
                          std::to_string(data.size()));
    std::string header = "{'descr': '" + std::string(row->descr) + "', 'fortran_order': False, 'shape': (";
    for (std::size_t i = 0; i < shape.size(); ++i)
        header += std::to_string(shape[i]) + (shape.size() == 1 ? "," : i + 1 < shape.size() ? ", " : "");
    header += "), }";
    // Magic, version and length take ten bytes; the data begins at a multiple of 64.
    std::size_t padded = (10 + header.size() + 1 + 63) / 64 * 64 - 10;
    header.resize(padded - 1, ' ');
    header += '\n';
    auto length = static_cast<std::uint16_t>(header.size());
    write_atomically(path, [&](FileWriter& writer) {
        writer.write(std::string(magic) + '\x01' + std::string(1, '\0'));
        writer.write(std::as_bytes(std::span(&length, 1)));
        writer.write(header);
        writer.write(data);
    });
}

}  // namespace qlora::formats
