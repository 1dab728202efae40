#include "core/data/pace.h"
#include "core/data/row_source.h"

namespace qlora::data::detail {

namespace {

struct Line {
    std::size_t end;   // of the text
    std::size_t next;  // where the following line starts
};

Line line_at(std::string_view text, std::size_t begin) {
    std::size_t end = std::min(text.find_first_of("\n\r", begin), text.size());
    std::size_t next = std::min(end + 1, text.size());
    if (end + 1 < text.size() && text[end] == '\r' && text[end + 1] == '\n') ++next;
    return {end, next};
}

bool blank_line(std::string_view text, std::size_t begin, Line line) {
    return is_blank(text.substr(begin, line.end - begin));
}

// A blank line with text before and after it, in the first megabyte.
bool has_paragraphs(std::string_view text) {
    text = text.substr(0, 1 << 20);
    bool before = false, between = false;
    for (std::size_t at = 0; at < text.size();) {
        Line line = line_at(text, at);
        bool blank = blank_line(text, at, line);
        if (!blank && between) return true;
        between = blank && before;
        before = before || !blank;
        at = line.next;
    }
    return false;
}

class TextRows : public RowSource {
  public:
    explicit TextRows(File file)
        : RowSource(file->path().string()), file_(std::move(file)), text_(text_of(*file_)) {
        columns_ = {{"text", ColumnKind::string}};
    }

    std::size_t rows() const override { return places_.size(); }
    std::string where(std::size_t row) const override { return at_line(label_, places_.line(row)); }
    Json row(std::size_t row) const override { return {{"text", cell(row, 0)}}; }

    Json cell(std::size_t row, std::size_t) const override {
        auto [begin, end] = extent(places_.begin(row));
        std::string_view content = text_.substr(begin, end - begin);
        if (!is_utf8(content)) throw_changed(*file_, where(row));
        return std::string(content);
    }

    void read(const TableOptions& options, const Control* control, const Progress& progress) {
        BadRows bad(options.skip_bad_rows);
        Pace pace(control, progress, "reading the data", static_cast<double>(text_.size()));
        using TextRow = TableOptions::TextRow;
        paragraphs_ = options.text_row == TextRow::paragraph ||
                      (options.text_row == TextRow::guess && has_paragraphs(text_));
        bool inside = false;
        std::uint64_t number = 1;
        for (std::size_t at = 0; at < text_.size(); ++number) {
            pace.at(static_cast<double>(at));
            Line line = line_at(text_, at);
            bool blank = blank_line(text_, at, line);
            if (!blank && !(paragraphs_ && inside)) take(at, number, bad);
            inside = !blank;
            at = line.next;
        }
        bad.report(notices_);
        notices_.push_back(paragraphs_ ? "Each paragraph is a row." : "Each line is a row.");
        places_.close();
        pace.finish();
    }

  private:
    // From a row's first byte to the end of its line, or of the last line before a blank one.
    std::pair<std::size_t, std::size_t> extent(std::size_t begin) const {
        Line line = line_at(text_, begin);
        std::size_t end = line.end;
        while (paragraphs_ && line.next < text_.size()) {
            std::size_t at = line.next;
            line = line_at(text_, at);
            if (blank_line(text_, at, line)) break;
            end = line.end;
        }
        return {begin, end};
    }

    void take(std::size_t at, std::uint64_t line, BadRows& bad) {
        auto [begin, end] = extent(at);
        std::string_view content = text_.substr(begin, end - begin);
        const char* wrong = end - begin > longest_row ? "expected at most 256 MiB in a row"
                            : content.find('\0') != std::string_view::npos ? "expected text, got a zero byte"
                            : !is_utf8(content)                            ? "not valid UTF-8"
                                                                           : nullptr;
        if (wrong == nullptr)
            places_.add(begin, line);
        else
            bad.refuse(
                input_error("data.encoding", at_line(label_, line), wrong, "Save the file as UTF-8 text."));
    }

    File file_;
    std::string_view text_;
    bool paragraphs_ = false;
    RowPlaces places_;
};

}  // namespace

Source open_text(File file, const TableOptions& options, const Control* control, const Progress& progress) {
    auto rows = std::make_shared<TextRows>(std::move(file));
    rows->read(options, control, progress);
    return rows;
}

}  // namespace qlora::data::detail
