#include "core/data/row_source.h"

namespace qlora::data::detail {

std::string_view text_of(const MappedFile& file) {
    auto bytes = file.bytes();
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    using namespace std::string_view_literals;
    if (text.starts_with("\xFF\xFE"sv) || text.starts_with("\xFE\xFF"sv) ||
        text.starts_with("\0\0\xFE\xFF"sv))
        throw input_error("data.encoding", file.path().string(), "expected UTF-8, got UTF-16 or UTF-32",
                          "Save the file as UTF-8.");
    if (text.starts_with("\xEF\xBB\xBF"sv)) text.remove_prefix(3);
    return text;
}

bool is_utf8(std::string_view text) {
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    for (std::size_t i = 0; i < text.size();) {
        unsigned char lead = byte(i);
        if (lead < 0x80) {
            ++i;
            continue;
        }
        std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        if (lead < 0xC2 || lead > 0xF4 || text.size() - i < length) return false;
        // The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
        unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (byte(i + 1) < low || byte(i + 1) > high) return false;
        for (std::size_t k = 2; k < length; ++k)
            if ((byte(i + k) & 0xC0) != 0x80) return false;
        i += length;
    }
    return true;
}

bool is_blank(std::string_view text) {
    return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
}

std::string at_line(const std::string& label, std::uint64_t line) {
    return label + ", line " + std::to_string(line);
}

void BadRows::refuse(const Error& error) {
    if (!skip_) throw error;
    if (count_++ == 0) first_ = error.message();
}

void BadRows::report(std::vector<std::string>& notices) const {
    if (count_ == 0) return;
    notices.push_back(
        (count_ == 1 ? "1 row was left out: " : std::to_string(count_) + " rows were left out, the first: ") +
        first_);
}

void RowPlaces::add(std::uint64_t begin, std::uint64_t line) {
    std::uint64_t row = begins_.size();
    if (row >= UINT32_MAX)
        throw input_error("data.too_many_rows", {}, "expected fewer than 4,294,967,295 rows",
                          "Split the file.");
    begins_.push_back(begin);
    if (shifts_.empty() || line - row != shifts_.back().second) shifts_.emplace_back(row, line - row);
}

std::uint64_t RowPlaces::line(std::size_t row) const {
    auto next =
        std::upper_bound(shifts_.begin(), shifts_.end(), row,
                         [](std::uint64_t wanted, const auto& shift) { return wanted < shift.first; });
    return row + std::prev(next)->second;
}

Error kind_changed(const Column& column, ColumnKind cell, const std::string& where) {
    return input_error("data.kind_changed", where,
                       "the column \"" + column.name + "\" changed from " + std::string(name(column.kind)) +
                           " to " + std::string(name(cell)),
                       "Give every row the same kind of value in a column.");
}

void throw_changed(const MappedFile& file, const std::string& where) {
    file.check();
    throw input_error("data.changed", where, "the file was changed after it was opened",
                      "Open the data set again.");
}

}  // namespace qlora::data::detail
