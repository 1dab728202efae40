#include "core/data/table.h"

#include <cctype>

#include "core/data/row_source.h"

namespace qlora::data {

namespace {

std::string lower_extension(const std::filesystem::path& path) {
    std::string extension = path.extension().string();
    for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return extension;
}

using Opener = detail::Source (*)(detail::File, const TableOptions&, const Control*, const Progress&);

constexpr const char* formats = "expected .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .txt or .md";

Opener opener_for(const MappedFile& file) {
    auto bytes = file.bytes();
    std::string_view raw(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::string extension = lower_extension(file.path());
    if (raw.starts_with("PAR1") || extension == ".parquet") return detail::open_parquet;
    if (raw.starts_with("\x1F\x8B") || raw.starts_with("PK\x03\x04") || raw.starts_with("\x28\xB5\x2F\xFD"))
        throw input_error("data.format", file.path().string(),
                          std::string(formats) + ", got a compressed file", "Unpack it first.");
    std::string_view text = detail::text_of(file);
    auto start = text.find_first_not_of(" \t\r\n");
    char first = start == std::string_view::npos ? '\0' : text[start];
    bool array = first == '[';
    if (extension == ".jsonl" || extension == ".ndjson")
        return array ? detail::open_json_values : detail::open_json_lines;
    if (extension == ".json") return detail::open_json_values;
    if (extension == ".csv" || extension == ".tsv") return detail::open_csv;
    if (extension == ".txt" || extension == ".md" || extension == ".text") return detail::open_text;
    if (first == '{') return detail::open_json_lines;
    if (array) return detail::open_json_values;
    throw input_error("data.format", file.path().string(),
                      std::string(formats) + ", got " +
                          (extension.empty() ? "a name without an ending" : "\"" + extension + "\""));
}

}  // namespace

std::string_view name(ColumnKind kind) {
    switch (kind) {
        case ColumnKind::empty:
            return "empty";
        case ColumnKind::string:
            return "string";
        case ColumnKind::number:
            return "number";
        case ColumnKind::boolean:
            return "boolean";
        case ColumnKind::list:
            return "list";
        case ColumnKind::object:
            return "object";
        case ColumnKind::unsupported:
            break;
    }
    return "unsupported";
}

Table::Table(std::shared_ptr<const detail::RowSource> source) : source_(std::move(source)) {}

Table Table::open(const std::filesystem::path& path, const TableOptions& options, const Control* control,
                  const Progress& progress) {
    auto file = std::make_shared<const MappedFile>(path);
    auto source = file->bytes().empty() ? nullptr : opener_for(*file)(file, options, control, progress);
    file->check();
    if (!source || source->rows() == 0) {
        std::string why = source && !source->notices().empty() ? " (" + source->notices().front() + ")" : "";
        throw input_error("data.empty", path.string(), "expected rows, got none" + why);
    }
    return Table(std::move(source));
}

Table Table::from_rows(std::vector<OrderedJson> rows, std::string label) {
    return Table(detail::hold_rows(std::move(rows), std::move(label)));
}

std::size_t Table::rows() const {
    return source_->rows();
}
const std::vector<Column>& Table::columns() const {
    return source_->columns();
}
std::string Table::where(std::size_t row) const {
    return source_->where(row);
}
const std::string& Table::label() const {
    return source_->label();
}
const std::vector<std::string>& Table::notices() const {
    return source_->notices();
}

std::optional<std::size_t> Table::column(std::string_view name) const {
    for (std::size_t i = 0; i < columns().size(); ++i)
        if (columns()[i].name == name) return i;
    return std::nullopt;
}

Json Table::cell(std::size_t row, std::size_t column) const {
    if (row >= rows() || column >= columns().size())
        throw input_error("data.range", label(),
                          "expected a row below " + std::to_string(rows()) + " and a column below " +
                              std::to_string(columns().size()) + ", got " + std::to_string(row) + " and " +
                              std::to_string(column));
    return source_->cell(row, column);
}

std::optional<std::string> Table::text(std::size_t row, std::size_t column) const {
    Json value = cell(row, column);
    if (value.is_null()) return std::nullopt;
    if (!value.is_string())
        throw input_error(
            "data.kind", where(row),
            "the column \"" + columns()[column].name + "\": expected text, got " + describe(value));
    return std::move(value.get_ref<std::string&>());
}

Json Table::row(std::size_t row) const {
    if (row >= rows())
        throw input_error("data.range", label(),
                          "expected a row below " + std::to_string(rows()) + ", got " + std::to_string(row));
    return source_->row(row);
}

}  // namespace qlora::data
