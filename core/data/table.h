#pragma once
// A data set as it lies in a file: named columns, numbered rows, every cell read when it is asked for.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/control.h"
#include "core/base/json.h"

namespace qlora::data {

// What the filled cells of a column hold. `empty`: nothing but nulls. `unsupported`: a Parquet type without a
// meaning here (binary, ...), whose cells cannot be read.
enum class ColumnKind { empty, string, number, boolean, list, object, unsupported };
std::string_view name(ColumnKind kind);

struct Column {
    std::string name;
    ColumnKind kind = ColumnKind::string;
    bool operator==(const Column&) const = default;
};

struct TableOptions {
    // Leave out rows that cannot be read, and count them in notices(); otherwise the first one is the error.
    bool skip_bad_rows = false;
    // What a row of plain text is. `guess`: paragraphs where a blank line parts two texts, else lines.
    enum class TextRow { guess, line, paragraph } text_row = TextRow::guess;
};

namespace detail {
class RowSource;
}

// Opens .jsonl .ndjson .json (lines, or one array of objects), .csv .tsv (RFC 4180; the separator is guessed;
// a line starting with # is data), .parquet, .txt .md; a file of another name by its content. CSV and text
// cells are strings. Every row of a text format is read once by open() (validated, then forgotten: 8 bytes a
// row stay), so that later reading fails only where the file has changed since. Parquet rows are decoded a
// row group at a time, when asked for. A Table is a cheap, shared, immutable value; any thread may read.
class Table {
  public:
    // Throws input_error: "file.*" (missing, a folder, a pipe, ...), "data.format", "data.row" (names the
    // line), "data.kind_changed", "data.encoding", "data.header", "data.empty", "data.parquet", "json.*"; and
    // stopped().
    static Table open(const std::filesystem::path& path, const TableOptions& options = {},
                      const Control* control = nullptr, const Progress& progress = {});
    // Rows held in memory, each a JSON object; `label` names them in messages.
    static Table from_rows(std::vector<OrderedJson> rows, std::string label = "rows");

    std::size_t rows() const;
    const std::vector<Column>& columns() const;
    std::optional<std::size_t> column(std::string_view name) const;

    // A cell; null where the row lacks the column. Throws input_error "data.changed" where the file was
    // changed.
    Json cell(std::size_t row, std::size_t column) const;
    // A string cell's content; empty optional for null; throws input_error "data.kind" for any other kind.
    std::optional<std::string> text(std::size_t row, std::size_t column) const;
    // All cells of a row that are there.
    Json row(std::size_t row) const;

    // For messages: "support.jsonl, line 17".
    std::string where(std::size_t row) const;
    // The file's path, or the label of from_rows.
    const std::string& label() const;
    // What was done on the way that people should know: rows skipped, how text was parted, ...
    const std::vector<std::string>& notices() const;

  private:
    explicit Table(std::shared_ptr<const detail::RowSource> source);
    std::shared_ptr<const detail::RowSource> source_;
};

}  // namespace qlora::data
