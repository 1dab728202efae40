#include "core/formats/json_cursor.h"

#include <charconv>
#include <utility>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/formats/names.h"

namespace qlora::formats {

namespace {

// Stands for itself in a string.
bool is_plain(char c) {
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

std::string utf8(std::uint32_t code) {
    std::string text;
    auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0 | code >> 6);
    } else if (code < 0x10000) {
        put(0xE0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3F));
    } else {
        put(0xF0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3F));
        put(0x80 | (code >> 6 & 0x3F));
    }
    if (code >= 0x80) put(0x80 | (code & 0x3F));
    return text;
}

}  // namespace

JsonCursor::JsonCursor(std::string_view text, std::string code, std::string where)
    : text_(text), code_(std::move(code)), where_(std::move(where)) {}

void JsonCursor::fail(const std::string& message) const {
    throw input_error(code_, where_, message + ", at " + line_and_column(text_, position_) + " of the JSON");
}

void JsonCursor::skip_space() {
    while (position_ < text_.size()) {
        char c = text_[position_];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return;
        ++position_;
    }
}

char JsonCursor::peek() {
    skip_space();
    return position_ < text_.size() ? text_[position_] : '\0';
}

bool JsonCursor::take(char expected) {
    if (peek() != expected || position_ == text_.size()) return false;
    ++position_;
    return true;
}

void JsonCursor::expect(char expected, const char* what) {
    if (take(expected)) return;
    fail(std::string("expected ") + what +
         (position_ == text_.size() ? ", got the end" : ", got " + in_quotes(text_.substr(position_, 1))));
}

void JsonCursor::begin_object() {
    expect('{', "an object");
    first_ = true;
}

bool JsonCursor::next_key(std::string& key, std::size_t limit) {
    return next_member(&key, limit);
}

bool JsonCursor::next_member(std::string* key, std::size_t limit) {
    bool first = std::exchange(first_, false);
    if (take('}')) return false;
    if (!first) expect(',', "\",\" or \"}\"");
    scan_string(key, limit);
    expect(':', "\":\"");
    return true;
}

void JsonCursor::begin_array() {
    expect('[', "an array");
    first_ = true;
}

bool JsonCursor::next_element() {
    bool first = std::exchange(first_, false);
    if (take(']')) return false;
    if (!first) expect(',', "\",\" or \"]\"");
    return true;
}

void JsonCursor::string(std::string& text, std::size_t limit) {
    scan_string(&text, limit);
}

void JsonCursor::scan_string(std::string* text, std::size_t limit) {
    expect('"', "a string");
    if (text) text->clear();
    auto append = [&](std::string_view part) {
        if (!text) return;
        if (part.size() > limit - text->size())
            fail("expected a string of at most " + std::to_string(limit) + " bytes, got a longer one");
        text->append(part);
    };
    while (position_ < text_.size() && text_[position_] != '"') {
        std::size_t plain = position_;
        while (plain < text_.size() && is_plain(text_[plain])) ++plain;
        if (plain > position_) {
            append(text_.substr(position_, plain - position_));
            position_ = plain;
            continue;
        }
        auto c = static_cast<unsigned char>(text_[position_]);
        if (c < 0x20) fail("a control character in a string");
        if (c == '\\') {
            append(utf8(escaped_character()));
        } else {
            std::size_t length = utf8_length(text_.substr(position_, 4));
            if (length == 0) fail("a byte that is not UTF-8");
            append(text_.substr(position_, length));
            position_ += length;
        }
    }
    if (position_ == text_.size()) fail("the string does not end");
    ++position_;
}

std::uint32_t JsonCursor::escaped_character() {
    ++position_;
    if (position_ == text_.size()) fail("the string does not end");
    char c = text_[position_++];
    switch (c) {
        case '"':
        case '\\':
        case '/':
            return static_cast<std::uint32_t>(c);
        case 'b':
            return '\b';
        case 'f':
            return '\f';
        case 'n':
            return '\n';
        case 'r':
            return '\r';
        case 't':
            return '\t';
        case 'u':
            break;
        default:
            fail("an unknown escape in a string");
    }
    std::uint32_t high = hexadecimal();
    if (high < 0xD800 || high > 0xDFFF) return high;
    if (high > 0xDBFF || !text_.substr(position_).starts_with("\\u")) fail("half a surrogate pair");
    position_ += 2;
    std::uint32_t low = hexadecimal();
    if (low < 0xDC00 || low > 0xDFFF) fail("half a surrogate pair");
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

std::uint32_t JsonCursor::hexadecimal() {
    std::string_view digits = text_.substr(position_, 4);
    std::uint32_t code = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (error != std::errc() || digits.size() < 4 || end != digits.data() + 4)
        fail("expected four hexadecimal digits");
    position_ += 4;
    return code;
}

std::string_view JsonCursor::number() {
    auto here = [&](char low, char high) {
        return position_ < text_.size() && text_[position_] >= low && text_[position_] <= high;
    };
    auto next = [&](char c) {
        bool found = here(c, c);
        position_ += found;
        return found;
    };
    auto digits = [&] {
        if (!here('0', '9')) fail("expected a digit");
        while (here('0', '9')) ++position_;
    };
    skip_space();
    std::size_t begin = position_;
    next('-');
    if (!next('0')) digits();
    if (next('.')) digits();
    if (next('e') || next('E')) {
        if (!next('+')) next('-');
        digits();
    }
    return text_.substr(begin, position_ - begin);
}

void JsonCursor::skip_value() {
    constexpr std::size_t deepest = 32;
    std::string closing;  // the brackets still to come
    bool value_follows = true;
    do {
        if (value_follows) {
            char c = peek();
            if (c != '{' && c != '[') {
                skip_scalar();
            } else {
                if (closing.size() == deepest)
                    fail("nested deeper than " + std::to_string(deepest) + " levels");
                closing += c == '{' ? '}' : ']';
                c == '{' ? begin_object() : begin_array();
            }
        }
        if (closing.empty()) return;
        value_follows = closing.back() == '}' ? next_member(nullptr, 0) : next_element();
        if (!value_follows) closing.pop_back();
    } while (!closing.empty());
}

void JsonCursor::skip_scalar() {
    char c = peek();
    if (c == '"') return scan_string(nullptr, 0);
    if (c == '-' || (c >= '0' && c <= '9')) {
        number();
        return;
    }
    std::string_view word = c == 't' ? "true" : c == 'f' ? "false" : "null";
    if (!text_.substr(position_).starts_with(word)) fail("expected a value");
    position_ += word.size();
}

void JsonCursor::end_of_text() {
    if (peek() != '\0' || position_ < text_.size()) fail("expected the end, got more text");
}

}  // namespace qlora::formats
