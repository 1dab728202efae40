#include <optional>
#include <set>
#include <unordered_map>

#include "core/data/pace.h"
#include "core/data/row_source.h"

namespace qlora::data::detail {

namespace {

constexpr int deepest = 64;

// Checks one row without building it, and notes the kind of each of its cells.
class RowScan : public nlohmann::json_sax<Json> {
  public:
    struct Cell {
        std::string key;
        ColumnKind kind;
    };

    // Returns what is wrong, or nothing; `byte` is then where.
    std::optional<std::string> scan(std::string_view row) {
        cells_.clear();
        keys_.clear();
        depth_ = 0;
        wrong_.clear();
        byte_ = 0;
        top_ = ColumnKind::empty;
        Json::sax_parse(row.begin(), row.end(), this);
        return wrong_.empty() ? std::nullopt : std::optional(wrong_);
    }
    const std::vector<Cell>& cells() const { return cells_; }
    ColumnKind top() const { return top_; }
    std::size_t byte() const { return byte_; }  // 0: unknown

    bool null() override { return value(ColumnKind::empty); }
    bool boolean(bool) override { return value(ColumnKind::boolean); }
    bool number_integer(Json::number_integer_t) override { return value(ColumnKind::number); }
    bool number_unsigned(Json::number_unsigned_t) override { return value(ColumnKind::number); }
    bool number_float(Json::number_float_t, const Json::string_t&) override {
        return value(ColumnKind::number);
    }
    bool string(Json::string_t&) override { return value(ColumnKind::string); }
    bool binary(Json::binary_t&) override { return false; }
    bool start_array(std::size_t) override { return open(ColumnKind::list); }
    bool end_array() override { return close(); }
    bool start_object(std::size_t) override { return open(ColumnKind::object); }
    bool end_object() override { return close(); }
    bool key(Json::string_t& key) override {
        if (!keys_.back().insert(key).second)
            return fail("the key " + describe(Json(key)) + " appears twice");
        if (depth_ == 1) cells_.push_back({key, ColumnKind::empty});
        return true;
    }
    bool parse_error(std::size_t byte, const std::string&, const Json::exception& error) override {
        byte_ = byte;
        std::string reason = error.what();
        // "[json...] parse error at line 1, column 5: syntax error ... - why; last read: '...'; expected ..."
        if (auto dash = reason.find(" - "); dash != std::string::npos) reason = reason.substr(dash + 3);
        if (auto bracket = reason.find("] "); bracket != std::string::npos && reason.starts_with("["))
            reason = reason.substr(bracket + 2);
        reason =
            reason.substr(0, std::min({reason.find("; last read"), reason.find(": '"), std::size_t{160}}));
        return fail("not valid JSON (" + reason + ")");
    }

  private:
    bool fail(std::string why) {
        if (wrong_.empty()) wrong_ = std::move(why);
        return false;
    }
    bool value(ColumnKind kind) {
        if (depth_ == 0) top_ = kind;
        if (depth_ == 1 && !cells_.empty()) cells_.back().kind = kind;
        return true;
    }
    bool open(ColumnKind kind) {
        value(kind);
        if (++depth_ > deepest) return fail("nested deeper than " + std::to_string(deepest) + " levels");
        keys_.emplace_back();
        return true;
    }
    bool close() {
        --depth_;
        keys_.pop_back();
        return true;
    }

    std::vector<Cell> cells_;
    std::vector<std::set<std::string>> keys_;
    std::string wrong_;
    std::size_t byte_ = 0;
    int depth_ = 0;
    ColumnKind top_ = ColumnKind::empty;
};

// The end of the JSON value that starts with a bracket at `begin`, by its brackets alone; npos when they
// never close.
std::size_t end_of_value(std::string_view text, std::size_t begin) {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t i = begin; i < text.size(); ++i) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            ++depth;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return i + 1;
        }
    }
    return std::string_view::npos;
}

std::uint64_t count_lines(std::string_view text) {
    return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

class JsonRows : public RowSource {
  public:
    JsonRows(File file, bool lines)
        : RowSource(file->path().string()), file_(std::move(file)), lines_(lines) {
        text_ = text_of(*file_);
    }

    std::size_t rows() const override { return places_.size(); }
    std::string where(std::size_t row) const override { return at_line(label_, places_.line(row)); }

    Json row(std::size_t row) const override {
        std::size_t begin = places_.begin(row);
        std::size_t end = lines_ ? text_.find('\n', begin) : end_of_value(text_, begin);
        Json value = Json::parse(text_.substr(begin, end == std::string_view::npos ? end : end - begin),
                                 nullptr, false);
        if (!value.is_object()) throw_changed(*file_, where(row));
        return value;
    }

    Json cell(std::size_t index, std::size_t column) const override {
        Json value = row(index);
        auto found = value.find(columns_[column].name);
        return found == value.end() ? Json() : std::move(*found);
    }

    void read_lines(const TableOptions& options, const Control* control, const Progress& progress) {
        BadRows bad(options.skip_bad_rows);
        Pace pace(control, progress, "reading the data", static_cast<double>(text_.size()));
        std::uint64_t line = 1;
        for (std::size_t begin = 0, next; begin < text_.size(); begin = next, ++line) {
            std::size_t end = std::min(text_.find('\n', begin), text_.size());
            next = end + 1;
            pace.at(static_cast<double>(begin));
            std::string_view row = text_.substr(begin, end - begin);
            if (!is_blank(row)) take(row, begin, line, bad);
        }
        close(bad, pace);
    }

    void read_values(const TableOptions& options, const Control* control, const Progress& progress) {
        BadRows bad(options.skip_bad_rows);
        Pace pace(control, progress, "reading the data", static_cast<double>(text_.size()));
        std::uint64_t line = 1;
        std::size_t at = 0;
        auto skip_blanks = [&] {
            for (; at < text_.size() && is_blank(text_.substr(at, 1)); ++at) line += text_[at] == '\n';
        };
        auto fail = [&](const std::string& message, const char* hint = "") {
            throw input_error("data.row", at_line(label_, line), message, hint);
        };
        skip_blanks();
        bool array = at < text_.size() && text_[at] == '[';
        if (array) ++at;
        for (bool first = true;; first = false) {
            skip_blanks();
            bool ended = at == text_.size();
            if (array) {
                if (ended) fail("not valid JSON (the array opened at its start is never closed)");
                if (text_[at] == ']') break;
                if (!first) {
                    if (text_[at] != ',') fail("not valid JSON (expected ',' or ']' after a row)");
                    ++at;
                    skip_blanks();
                    if (at < text_.size() && text_[at] == ']') fail("not valid JSON (a comma before ']')");
                }
            } else if (ended) {
                break;
            }
            pace.at(static_cast<double>(at));
            if (at == text_.size() || (text_[at] != '{' && text_[at] != '['))
                fail("expected an object for every row",
                     R"(Such as {"prompt": "...", "completion": "..."}.)");
            std::size_t end = end_of_value(text_, at);
            if (end == std::string_view::npos) {
                RowScan scan;  // knows better what is wrong
                fail(scan.scan(text_.substr(at, longest_row))
                         .value_or("not valid JSON (a bracket is never closed)"));
            }
            std::string_view row = text_.substr(at, end - at);
            take(row, at, line, bad);
            line += count_lines(row);
            at = end;
        }
        if (array) {
            ++at;
            skip_blanks();
            if (at < text_.size()) fail("not valid JSON (text after the array's end)");
        } else if (places_.size() == 1) {
            refuse_columns_file();
        }
        close(bad, pace);
    }

  private:
    void take(std::string_view row, std::size_t begin, std::uint64_t line, BadRows& bad) {
        try {
            check(row, line);
            places_.add(begin, line);
        } catch (const Error& error) {
            if (error.code() != "data.row" && error.code() != "data.kind_changed") throw;
            bad.refuse(error);
        }
    }

    void check(std::string_view row, std::uint64_t line) {
        if (row.size() > longest_row)
            throw input_error(
                "data.row", at_line(label_, line),
                "expected at most 256 MiB in a row, got " + std::to_string(row.size()) + " bytes");
        if (auto wrong = scan_.scan(row)) {
            auto before = row.substr(0, scan_.byte() == 0 ? 0 : std::min(row.size(), scan_.byte() - 1));
            auto column = before.size() - (before.rfind('\n') + 1) + 1;
            throw input_error("data.row", at_line(label_, line + count_lines(before)),
                              *wrong + (scan_.byte() ? " at column " + std::to_string(column) : ""),
                              "Correct the row, or have bad rows skipped.");
        }
        if (scan_.top() != ColumnKind::object) {
            std::string got(scan_.top() == ColumnKind::list ? "array" : name(scan_.top()));
            throw input_error(
                "data.row", at_line(label_, line),
                places_.size() == 0 ? "expected an object, got " + got : "changed from object to " + got,
                R"(Write every row as an object, such as {"prompt": "...", "completion": "..."}.)");
        }
        settle(line);
    }

    // All or nothing: a row that is refused must not leave its columns behind.
    void settle(std::uint64_t line) {
        std::size_t fresh = 0;
        for (const auto& cell : scan_.cells()) {
            auto known = index_.find(cell.key);
            if (known == index_.end())
                ++fresh;
            else if (const Column& column = columns_[known->second]; !fits(column.kind, cell.kind))
                throw kind_changed(column, cell.kind, at_line(label_, line));
        }
        if (columns_.size() + fresh > most_columns)
            throw input_error("data.columns_limit", at_line(label_, line),
                              "expected at most " + std::to_string(most_columns) + " columns");
        for (const auto& cell : scan_.cells()) {
            auto [known, added] = index_.try_emplace(cell.key, columns_.size());
            if (added) columns_.push_back({cell.key, ColumnKind::empty});
            if (cell.kind != ColumnKind::empty) columns_[known->second].kind = cell.kind;
        }
    }

    // {"train": [{...}, ...]} or {"question": [...], "answer": [...]}: one object that is no row.
    void refuse_columns_file() const {
        bool lists =
            !columns_.empty() && std::all_of(columns_.begin(), columns_.end(), [](const Column& column) {
                return column.kind == ColumnKind::list && column.name != "messages" &&
                       column.name != "conversations";
            });
        if (lists)
            throw input_error(
                "data.format", label_,
                "expected an array of objects or one object a line, got one object that holds lists",
                "Write the rows themselves as an array: [{...}, {...}].");
    }

    void close(const BadRows& bad, Pace& pace) {
        bad.report(notices_);
        places_.close();
        index_.clear();
        pace.finish();
    }

    File file_;
    std::string_view text_;
    bool lines_;
    RowPlaces places_;
    RowScan scan_;
    std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace

Source open_json_lines(File file, const TableOptions& options, const Control* control,
                       const Progress& progress) {
    auto rows = std::make_shared<JsonRows>(std::move(file), true);
    rows->read_lines(options, control, progress);
    return rows;
}

Source open_json_values(File file, const TableOptions& options, const Control* control,
                        const Progress& progress) {
    auto rows = std::make_shared<JsonRows>(std::move(file), false);
    rows->read_values(options, control, progress);
    return rows;
}

}  // namespace qlora::data::detail
