#include "core/tokenizer/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "core/base/error.h"
#include "core/tokenizer/jinja/python_text.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer::jinja {
namespace {

using Kind = Token::Kind;

bool starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// One kind of line end, and none at the very end, as jinja2 reads its source.
std::string normalize_lines(std::string_view source) {
    std::string out;
    out.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] == '\r') {
            out += '\n';
            if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
        } else {
            out += source[i];
        }
    }
    if (out.ends_with('\n')) out.pop_back();
    return out;
}

class Lexer {
  public:
    Lexer(std::string_view source, const std::string& where) : source_(source), where_(where) {}

    std::vector<Token> run() {
        while (at_ < source_.size()) {
            std::size_t tag = find_tag();
            if (tag == std::string_view::npos) {
                add_text(source_.substr(at_));
                at_ = source_.size();
                break;
            }
            read_tag(tag);
        }
        add(Kind::end, "");
        return std::move(tokens_);
    }

  private:
    [[noreturn]] void fail(const std::string& message) const { syntax_error(where_, line_, message); }

    void add(Kind kind, std::string_view text) { tokens_.push_back({kind, line_, std::string(text)}); }

    // Moves on, counting lines.
    void advance(std::size_t to) {
        line_ += static_cast<int>(std::count(source_.begin() + at_, source_.begin() + to, '\n'));
        at_ = to;
    }

    void add_text(std::string_view text) {
        if (!text.empty()) add(Kind::text, text);
    }

    std::size_t find_tag() const {
        for (std::size_t i = source_.find('{', at_); i != std::string_view::npos; i = source_.find('{', i + 1)) {
            char next = i + 1 < source_.size() ? source_[i + 1] : '\0';
            if (next == '{' || next == '%' || next == '#') return i;
        }
        return std::string_view::npos;
    }

    // The text before a tag, less what the tag's sign or lstrip_blocks takes away.
    void read_tag(std::size_t tag) {
        char kind = source_[tag + 1];
        char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
        if (sign != '-' && sign != '+') sign = '\0';
        std::string_view text = source_.substr(at_, tag - at_);
        if (sign == '-') {
            text = right_stripped(text);
        } else if (sign != '+' && kind != '{') {
            auto newline = text.rfind('\n');
            std::size_t start = newline == std::string_view::npos ? 0 : newline + 1;
            bool whole_line = start > 0 || line_starts_;
            if (whole_line && start < text.size() && left_stripped(text.substr(start)).empty())
                text = text.substr(0, start);
        }
        add_text(text);
        advance(tag + 2 + (sign ? 1 : 0));
        if (kind == '#') return comment();
        if (kind == '{') {
            add(Kind::variable_begin, "{{");
            return expression(Kind::variable_end, "}}");
        }
        if (raw_block()) return;
        add(Kind::block_begin, "{%");
        expression(Kind::block_end, "%}");
    }

    void skip_space() {
        std::size_t to = at_;
        while (to < source_.size()) {
            std::size_t next = to;
            if (!is_python_space(next_character(source_, next))) break;
            to = next;
        }
        advance(to);
    }

    // Behind the closing mark of a block or comment: "-" takes all white space, else trim_blocks one line end.
    void after_close(char sign, bool trims) {
        std::size_t before = at_;
        if (sign == '-')
            skip_space();
        else if (sign != '+' && trims && at_ < source_.size() && source_[at_] == '\n')
            advance(at_ + 1);
        line_starts_ = at_ > before && source_[at_ - 1] == '\n';
    }

    void comment() {
        auto close = source_.find("#}", at_);
        if (close == std::string_view::npos) fail("a comment without its end");
        char sign = close > at_ ? source_[close - 1] : '\0';
        advance(close + 2);
        after_close(sign, true);
    }

    bool raw_block() {
        std::size_t saved = at_;
        int saved_line = line_;
        skip_space();
        if (!source_.substr(at_).starts_with("raw")) return at_ = saved, line_ = saved_line, false;
        advance(at_ + 3);
        skip_space();
        char sign = '\0';
        if (source_.substr(at_).starts_with("-%}"))
            sign = '-', advance(at_ + 3);
        else if (source_.substr(at_).starts_with("%}"))
            advance(at_ + 2);
        else
            return at_ = saved, line_ = saved_line, false;
        if (sign == '-') skip_space();
        for (std::size_t open = source_.find("{%", at_); open != std::string_view::npos;
             open = source_.find("{%", open + 2)) {
            std::size_t inside = open + 2;
            char open_sign = inside < source_.size() ? source_[inside] : '\0';
            if (open_sign == '-' || open_sign == '+') ++inside;
            std::string_view rest = left_stripped(source_.substr(inside));
            if (!rest.starts_with("endraw")) continue;
            rest = left_stripped(rest.substr(6));
            char close_sign = rest.starts_with("-%}") ? '-' : rest.starts_with("+%}") ? '+' : '\0';
            if (!rest.starts_with("%}") && !close_sign) continue;
            std::string_view text = source_.substr(at_, open - at_);
            if (open_sign == '-') text = right_stripped(text);
            add_text(text);
            std::size_t end = source_.size() - rest.size() + (close_sign ? 3 : 2);
            advance(end);
            after_close(close_sign, true);
            return true;
        }
        fail("a raw block without its endraw");
    }

    void expression(Kind closing, std::string_view mark) {
        std::vector<char> brackets;
        for (;;) {
            skip_space();
            if (at_ >= source_.size()) fail("the template ends inside a tag");
            std::string_view rest = source_.substr(at_);
            bool signed_close = (rest[0] == '-' || (rest[0] == '+' && closing == Kind::block_end)) &&
                                rest.substr(1).starts_with(mark);
            if (brackets.empty() && (signed_close || rest.starts_with(mark))) {
                char sign = signed_close ? rest[0] : '\0';
                add(closing, mark);
                advance(at_ + mark.size() + (sign ? 1 : 0));
                return after_close(sign, closing == Kind::block_end);
            }
            if (starts_name(rest[0]))
                name();
            else if (is_digit(rest[0]))
                number();
            else if (rest[0] == '"' || rest[0] == '\'')
                string();
            else
                symbol(brackets);
        }
    }

    void name() {
        std::size_t end = at_;
        while (end < source_.size() && (starts_name(source_[end]) || is_digit(source_[end]))) ++end;
        add(Kind::name, source_.substr(at_, end - at_));
        advance(end);
    }

    void number() {
        std::size_t end = at_;
        std::string digits;
        auto take_digits = [&] {
            while (end < source_.size() &&
                   (is_digit(source_[end]) || (source_[end] == '_' && end + 1 < source_.size() && is_digit(source_[end + 1])))) {
                if (source_[end] != '_') digits += source_[end];
                ++end;
            }
        };
        take_digits();
        bool real = false;
        if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
            real = true;
            digits += source_[end++];
            take_digits();
        }
        if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
            std::size_t digit = end + 1;
            if (digit < source_.size() && (source_[digit] == '+' || source_[digit] == '-')) ++digit;
            if (digit < source_.size() && is_digit(source_[digit])) {
                real = true;
                digits += source_.substr(end, digit - end);
                end = digit;
                take_digits();
            }
        }
        Token token{real ? Kind::real : Kind::integer, line_, std::string(digits)};
        auto error = real ? std::from_chars(digits.data(), digits.data() + digits.size(), token.real).ec
                          : std::from_chars(digits.data(), digits.data() + digits.size(), token.integer).ec;
        if (error != std::errc()) fail("the number " + digits + " is out of range");
        tokens_.push_back(std::move(token));
        advance(end);
    }

    void string() {
        char quote = source_[at_];
        std::size_t end = at_ + 1;
        while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
        if (end >= source_.size()) fail("a string without its closing quote");
        add(Kind::string, unescape(source_.substr(at_ + 1, end - at_ - 1)));
        advance(end + 1);
    }

    std::string unescape(std::string_view text) const {
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] != '\\' || i + 1 == text.size()) {
                out += text[i];
                continue;
            }
            char c = text[++i];
            static constexpr std::string_view simple = "n\nt\tr\rb\bf\fv\va\a\\\\''\"\"";
            auto found = simple.find(c);
            if (c == '\n') continue;  // a line goes on
            if (found != std::string_view::npos && found % 2 == 0) {
                out += simple[found + 1];
            } else if (c == 'x' || c == 'u' || c == 'U') {
                std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
                std::uint32_t value = 0;
                auto first = text.data() + i + 1;
                if (i + digits >= text.size() || std::from_chars(first, first + digits, value, 16).ptr != first + digits ||
                    value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
                    fail(std::string("a bad escape \\") + c);
                append_utf8(out, value);
                i += digits;
            } else if (c >= '0' && c <= '7') {
                std::uint32_t value = 0;
                std::size_t last = std::min(i + 3, text.size());
                auto end = std::from_chars(text.data() + i, text.data() + last, value, 8).ptr;
                append_utf8(out, value);
                i = end - text.data() - 1;
            } else {
                out += '\\';
                out += c;
            }
        }
        return out;
    }

    void symbol(std::vector<char>& brackets) {
        static constexpr std::string_view symbols[] = {"==", "!=", ">=", "<=", "//", "**", "+", "-", "/", "*", "%",  "~", "[",
                                                       "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
        for (auto candidate : symbols) {
            if (!source_.substr(at_).starts_with(candidate)) continue;
            char c = candidate[0];
            if (c == '(' || c == '[' || c == '{') brackets.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
            if (c == ')' || c == ']' || c == '}') {
                if (brackets.empty() || brackets.back() != c) fail(std::string("an unexpected '") + c + "'");
                brackets.pop_back();
            }
            add(Kind::symbol, candidate);
            return advance(at_ + candidate.size());
        }
        fail("an unexpected character '" + std::string(source_.substr(at_, utf8_at(source_, at_).length)) + "'");
    }

    std::string_view source_;
    const std::string& where_;
    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    int line_ = 1;
    bool line_starts_ = true;
};

}  // namespace

void syntax_error(const std::string& where, int line, const std::string& message) {
    throw input_error("chat.syntax", where, "the chat template, line " + std::to_string(line) + ": " + message);
}

std::vector<Token> tokenize(std::string_view source, const std::string& where) {
    std::string repaired = is_utf8(source) ? std::string(source) : replace_invalid_utf8(source);
    std::string text = normalize_lines(repaired);
    return Lexer(text, where).run();
}

}  // namespace qlora::tokenizer::jinja
