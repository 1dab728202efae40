#pragma once
// What a Table reads from: one implementation a file format.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/data/table.h"

namespace qlora::data::detail {

inline constexpr std::size_t longest_row = std::size_t{256} << 20;  // bytes
inline constexpr std::size_t most_columns = 4096;

// Immutable after construction; any thread may read.
class RowSource {
  public:
    explicit RowSource(std::string label) : label_(std::move(label)) {}
    virtual ~RowSource() = default;
    RowSource(const RowSource&) = delete;
    RowSource& operator=(const RowSource&) = delete;

    virtual std::size_t rows() const = 0;
    // Arguments are in range.
    virtual Json cell(std::size_t row, std::size_t column) const = 0;
    virtual Json row(std::size_t row) const = 0;
    virtual std::string where(std::size_t row) const = 0;

    const std::vector<Column>& columns() const { return columns_; }
    const std::string& label() const { return label_; }
    const std::vector<std::string>& notices() const { return notices_; }

  protected:
    std::string label_;
    std::vector<Column> columns_;
    std::vector<std::string> notices_;
};

using Source = std::shared_ptr<const RowSource>;
using File = std::shared_ptr<const MappedFile>;

Source open_json_lines(File file, const TableOptions&, const Control*, const Progress&);
// One array of objects, or objects one after the other, over as many lines as they like.
Source open_json_values(File file, const TableOptions&, const Control*, const Progress&);
Source open_csv(File file, const TableOptions&, const Control*, const Progress&);
Source open_text(File file, const TableOptions&, const Control*, const Progress&);
Source open_parquet(File file, const TableOptions&, const Control*, const Progress&);
Source hold_rows(std::vector<OrderedJson> rows, std::string label);

// The file's text without a byte order mark; throws input_error "data.encoding" for UTF-16 and UTF-32.
std::string_view text_of(const MappedFile& file);
bool is_utf8(std::string_view text);
bool is_blank(std::string_view text);
std::string at_line(const std::string& label, std::uint64_t line);

// Rows that cannot be read: the first one is the error, or all are left out and counted.
class BadRows {
  public:
    explicit BadRows(bool skip) : skip_(skip) {}
    void refuse(const Error& error);
    void report(std::vector<std::string>& notices) const;

  private:
    bool skip_;
    std::uint64_t count_ = 0;
    std::string first_;
};

// Where each row starts and on which line: 8 bytes a row, and 16 for each place where row and line part
// further.
class RowPlaces {
  public:
    void add(std::uint64_t begin, std::uint64_t line);
    void close() { begins_.shrink_to_fit(); }
    std::size_t size() const { return begins_.size(); }
    std::uint64_t begin(std::size_t row) const { return begins_[row]; }
    std::uint64_t line(std::size_t row) const;

  private:
    std::vector<std::uint64_t> begins_;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> shifts_;  // from this row on, line = row + shift
};

// Whether a column may hold such a cell too; nulls fit every column.
inline bool fits(ColumnKind column, ColumnKind cell) {
    return cell == ColumnKind::empty || column == ColumnKind::empty || cell == column;
}
Error kind_changed(const Column& column, ColumnKind cell, const std::string& where);

// A row can no longer be read as it was when the table was opened.
[[noreturn]] void throw_changed(const MappedFile& file, const std::string& where);

}  // namespace qlora::data::detail
