#include <array>
#include <optional>
#include <set>

#include "core/data/pace.h"
#include "core/data/row_source.h"

namespace qlora::data::detail {

namespace {

struct Record {
    std::size_t next = 0;  // where the following record starts
    std::size_t fields = 0;
    std::uint64_t lines = 1;  // line ends in the record, its own included
    bool blank = false;       // an empty line
    enum class Fault { none, open_quote, text_after_quote } fault = Fault::none;
    std::uint64_t fault_line = 0;  // from 0 in the record
};

// Reads the record that starts at `begin` as RFC 4180 says; also lone CR as a line end, and quotes inside an
// unquoted field as they are. Field contents go to `cells` where it is given.
Record read_record(std::string_view text, std::size_t begin, char separator,
                   std::vector<std::string>* cells) {
    Record record;
    std::size_t at = begin;
    auto line_end = [&](std::size_t i) { return text[i] == '\n' || text[i] == '\r'; };
    auto past_line_end = [&](std::size_t i) {
        return text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n' ? i + 2 : i + 1;
    };
    record.blank = at < text.size() && line_end(at);
    for (;;) {
        ++record.fields;
        std::string* cell = cells != nullptr ? &cells->emplace_back() : nullptr;
        if (at < text.size() && text[at] == '"') {
            std::uint64_t opened = record.lines - 1;
            for (++at;;) {
                std::size_t stop = std::min(text.find_first_of("\"\n\r", at), text.size());
                if (cell != nullptr) cell->append(text.substr(at, stop - at));
                if (stop == text.size() || stop - begin > longest_row) {
                    record.fault = Record::Fault::open_quote;
                    record.fault_line = opened;
                    record.next = text.size();
                    return record;
                }
                if (text[stop] == '"') {
                    at = stop + 1;
                    if (at == text.size() || text[at] != '"') break;
                    if (cell != nullptr) cell->push_back('"');
                    ++at;
                } else {
                    at = past_line_end(stop);
                    if (cell != nullptr) cell->append(text.substr(stop, at - stop));
                    ++record.lines;
                }
            }
            if (at < text.size() && text[at] != separator && !line_end(at)) {
                record.fault = Record::Fault::text_after_quote;
                record.fault_line = record.lines - 1;
            }
        }
        std::size_t stop = at;
        while (stop < text.size() && text[stop] != separator && !line_end(stop)) ++stop;
        if (cell != nullptr) cell->append(text.substr(at, stop - at));
        if (stop < text.size() && text[stop] == separator) {
            at = stop + 1;
            continue;
        }
        record.next = stop == text.size() ? stop : past_line_end(stop);
        return record;
    }
}

// The separator that parts the first records into the same number of fields, the more fields the better.
char guess_separator(std::string_view text) {
    char best = ',';
    double best_score = 0;
    for (char separator : {',', ';', '\t', '|'}) {
        std::vector<std::size_t> fields;
        for (std::size_t at = 0; at < text.size() && fields.size() < 50;) {
            Record record =
                read_record(text.substr(0, std::min(text.size(), at + (1 << 20))), at, separator, nullptr);
            if (record.fault == Record::Fault::open_quote) break;
            if (!record.blank) fields.push_back(record.fields);
            at = record.next;
        }
        if (fields.empty() || fields[0] < 2) continue;
        auto alike = std::count(fields.begin(), fields.end(), fields[0]);
        double score = static_cast<double>(alike) / static_cast<double>(fields.size()) +
                       0.01 * static_cast<double>(std::min<std::size_t>(fields[0], 20));
        if (score > best_score) {
            best = separator;
            best_score = score;
        }
    }
    return best;
}

class CsvRows : public RowSource {
  public:
    explicit CsvRows(File file)
        : RowSource(file->path().string()),
          file_(std::move(file)),
          text_(text_of(*file_)),
          separator_(guess_separator(text_)) {}

    std::size_t rows() const override { return places_.size(); }
    std::string where(std::size_t row) const override { return at_line(label_, places_.line(row)); }

    Json cell(std::size_t row, std::size_t column) const override { return std::move(cells(row)[column]); }
    Json row(std::size_t row) const override {
        auto values = cells(row);
        Json object = Json::object();
        for (std::size_t i = 0; i < values.size(); ++i) object[columns_[i].name] = std::move(values[i]);
        return object;
    }

    void read(const TableOptions& options, const Control* control, const Progress& progress) {
        BadRows bad(options.skip_bad_rows);
        Pace pace(control, progress, "reading the data", static_cast<double>(text_.size()));
        std::uint64_t line = 1;
        for (std::size_t at = 0; at < text_.size();) {
            pace.at(static_cast<double>(at));
            Record record = read_record(text_, at, separator_, nullptr);
            // A quote that never closes would swallow the rest: only its first line is the bad row.
            if (record.fault == Record::Fault::open_quote && options.skip_bad_rows) {
                record.next = std::min(text_.find('\n', at), text_.size() - 1) + 1;
                record.lines = 1;
            }
            if (!record.blank) {
                if (columns_.empty()) {
                    read_header(at, record, line);
                } else {
                    try {
                        check(text_.substr(at, record.next - at), record, line);
                        places_.add(at, line);
                    } catch (const Error& error) {
                        if (error.code() != "data.row" && error.code() != "data.encoding") throw;
                        bad.refuse(error);
                    }
                }
            }
            line += record.lines;
            at = record.next;
        }
        bad.report(notices_);
        places_.close();
        pace.finish();
    }

  private:
    void read_header(std::size_t at, const Record& record, std::uint64_t line) {
        check(text_.substr(at, record.next - at), record, line);
        std::vector<std::string> names;
        read_record(text_, at, separator_, &names);
        if (names.size() > most_columns)
            throw input_error("data.columns_limit", at_line(label_, line),
                              "expected at most " + std::to_string(most_columns) + " columns");
        std::set<std::string> seen;
        for (std::string& name : names) {
            auto first = name.find_first_not_of(" \t\r\n"), last = name.find_last_not_of(" \t\r\n");
            name = first == std::string::npos ? "column " + std::to_string(columns_.size() + 1)
                                              : name.substr(first, last - first + 1);
            if (!seen.insert(name).second)
                throw input_error("data.header", at_line(label_, line),
                                  "the column \"" + name + "\" is there twice",
                                  "Give every column a name of its own in the first line.");
            columns_.push_back({name, ColumnKind::string});
        }
    }

    void check(std::string_view bytes, const Record& record, std::uint64_t line) const {
        const char* hint = "Correct the row, or have bad rows skipped.";
        std::string where =
            record.fault == Record::Fault::none ? std::string() : at_line(label_, line + record.fault_line);
        if (record.fault == Record::Fault::open_quote)
            throw input_error("data.row", where, "a quote is opened and never closed",
                              "Close it, and write a quote inside a quoted field twice.");
        if (record.fault == Record::Fault::text_after_quote)
            throw input_error("data.row", where,
                              "expected a separator or the line's end after a closing quote",
                              "Write a quote inside a quoted field twice.");
        if (!is_utf8(bytes))
            throw input_error("data.encoding", at_line(label_, line), "not valid UTF-8",
                              "Save the file as UTF-8.");
        if (!columns_.empty() && record.fields != columns_.size())
            throw input_error("data.row", at_line(label_, line),
                              "expected " + std::to_string(columns_.size()) +
                                  " fields as in the first line, got " + std::to_string(record.fields),
                              hint);
    }

    std::vector<std::string> cells(std::size_t row) const {
        std::vector<std::string> values;
        Record record = read_record(text_, places_.begin(row), separator_, &values);
        if (record.fault != Record::Fault::none || values.size() != columns_.size())
            throw_changed(*file_, where(row));
        return values;
    }

    File file_;
    std::string_view text_;
    char separator_;
    RowPlaces places_;
};

}  // namespace

Source open_csv(File file, const TableOptions& options, const Control* control, const Progress& progress) {
    auto rows = std::make_shared<CsvRows>(std::move(file));
    rows->read(options, control, progress);
    return rows;
}

}  // namespace qlora::data::detail
