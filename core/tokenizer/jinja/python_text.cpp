#include "core/tokenizer/jinja/python_text.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer::jinja {
namespace {

bool strips(char32_t c, std::string_view characters) {
    if (characters.empty()) return is_python_space(c);
    for (std::size_t at = 0; at < characters.size();)
        if (next_character(characters, at) == c) return true;
    return false;
}

std::string from_icu(const icu::UnicodeString& text) {
    std::string out;
    text.toUTF8String(out);
    return out;
}
icu::UnicodeString to_icu(std::string_view text) {
    return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
}

}  // namespace

bool is_python_space(char32_t c) { return is_whitespace(c) || (c >= 0x1C && c <= 0x1F); }

std::string_view left_stripped(std::string_view text, std::string_view characters) {
    std::size_t at = 0;
    while (at < text.size()) {
        std::size_t next = at;
        if (!strips(next_character(text, next), characters)) break;
        at = next;
    }
    return text.substr(at);
}

std::string_view right_stripped(std::string_view text, std::string_view characters) {
    while (!text.empty()) {
        std::size_t start = previous_character(text, text.size()), at = start;
        if (!strips(next_character(text, at), characters)) break;
        text = text.substr(0, start);
    }
    return text;
}

std::string lower(std::string_view text) { return from_icu(to_icu(text).toLower(icu::Locale::getRoot())); }
std::string upper(std::string_view text) { return from_icu(to_icu(text).toUpper(icu::Locale::getRoot())); }

std::string capitalized(std::string_view text) {
    if (text.empty()) return {};
    std::size_t at = 0;
    auto first = static_cast<UChar32>(next_character(text, at));
    std::string out = from_icu(icu::UnicodeString(first).toTitle(nullptr, icu::Locale::getRoot()));
    return out + lower(text.substr(at));
}

std::string title(std::string_view text) {
    std::string out;
    bool inside = false;
    for (std::size_t at = 0; at < text.size();) {
        auto c = static_cast<UChar32>(next_character(text, at));
        icu::UnicodeString one(c);
        out += from_icu(inside ? one.toLower(icu::Locale::getRoot()) : one.toTitle(nullptr, icu::Locale::getRoot()));
        inside = u_hasBinaryProperty(c, UCHAR_CASED);
    }
    return out;
}

std::string title_of_words(std::string_view text) {
    std::string out;
    bool first = true;
    std::string word;
    auto flush = [&] {
        if (word.empty()) return;
        std::size_t at = 0;
        next_character(word, at);
        out += upper(std::string_view(word).substr(0, at)) + lower(std::string_view(word).substr(at));
        word.clear();
    };
    for (std::size_t at = 0; at < text.size();) {
        std::size_t start = at;
        char32_t c = next_character(text, at);
        bool breaks = c == '-' || is_python_space(c) || c == '(' || c == '{' || c == '[' || c == '<';
        if (breaks && !first) flush();
        if (!breaks && !word.empty()) {
            std::size_t last = previous_character(word, word.size()), next = last;
            char32_t before = next_character(word, next);
            if (before == '-' || is_python_space(before) || before == '(' || before == '{' || before == '[' || before == '<')
                flush();
        }
        word += text.substr(start, at - start);
        first = false;
    }
    flush();
    return out;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to, std::int64_t count) {
    std::string out;
    std::size_t at = 0;
    if (from.empty()) {  // between all characters, and at both ends
        for (; count != 0; --count) {
            out += to;
            if (at >= text.size()) return out;
            std::size_t start = at;
            next_character(text, at);
            out += text.substr(start, at - start);
        }
        return out += text.substr(at);
    }
    for (; count != 0; --count) {
        auto found = text.find(from, at);
        if (found == std::string_view::npos) break;
        out += text.substr(at, found - at);
        out += to;
        at = found + from.size();
    }
    return out += text.substr(at);
}

std::vector<std::string> split(std::string_view text, std::string_view separator, std::int64_t most, bool from_right) {
    std::vector<std::string> parts;
    while (most-- != 0) {
        auto found = from_right ? text.rfind(separator) : text.find(separator);
        if (found == std::string_view::npos) break;
        parts.emplace_back(from_right ? text.substr(found + separator.size()) : text.substr(0, found));
        text = from_right ? text.substr(0, found) : text.substr(found + separator.size());
    }
    parts.emplace_back(text);
    if (from_right) std::reverse(parts.begin(), parts.end());
    return parts;
}

std::vector<std::string> split_space(std::string_view text, std::int64_t most, bool from_right) {
    std::vector<std::string> parts;
    while (!(text = from_right ? right_stripped(text) : left_stripped(text)).empty()) {
        if (most-- == 0) {
            parts.emplace_back(text);
            break;
        }
        std::size_t begin = from_right ? text.size() : 0, end = from_right ? text.size() : 0;
        while (from_right ? begin > 0 : end < text.size()) {
            std::size_t start = from_right ? previous_character(text, begin) : end, next = start;
            if (is_python_space(next_character(text, next))) break;
            (from_right ? begin : end) = from_right ? start : next;
        }
        parts.emplace_back(text.substr(begin, end - begin));
        text = from_right ? text.substr(0, begin) : text.substr(end);
    }
    if (from_right) std::reverse(parts.begin(), parts.end());
    return parts;
}

std::size_t occurrences(std::string_view text, std::string_view wanted) {
    std::size_t count = 0;
    for (std::size_t at = 0; (at = text.find(wanted, at)) != std::string_view::npos; at += wanted.size()) ++count;
    return count;
}

std::size_t most_cuts(std::string_view text) {
    // Control characters, space, and whatever a character beyond ASCII may be.
    return std::count_if(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) <= ' '; });
}

std::vector<std::string> split_lines(std::string_view text) {
    std::vector<std::string> lines;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = at;
        char32_t c = next_character(text, at);
        bool breaks = (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
        if (!breaks) continue;
        if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
        lines.emplace_back(text.substr(begin, end - begin));
        begin = at;
    }
    if (begin < text.size()) lines.emplace_back(text.substr(begin));
    return lines;
}

std::size_t byte_of(std::string_view text, std::size_t character) {
    std::size_t at = 0;
    for (; character > 0 && at < text.size(); --character) next_character(text, at);
    return at;
}

bool all_of(std::string_view text, bool (*holds)(char32_t)) {
    for (std::size_t at = 0; at < text.size();)
        if (!holds(next_character(text, at))) return false;
    return !text.empty();
}

bool is_alpha(char32_t c) { return U_MASK(u_charType(static_cast<UChar32>(c))) & U_GC_L_MASK; }
bool is_decimal(char32_t c) { return u_getNumericValue(static_cast<UChar32>(c)) >= 0 && u_isdigit(static_cast<UChar32>(c)); }
bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }

bool is_lower(std::string_view text) {
    bool cased = false;
    for (std::size_t at = 0; at < text.size();) {
        auto c = static_cast<UChar32>(next_character(text, at));
        if (u_isUUppercase(c) || u_istitle(c)) return false;
        cased |= u_isULowercase(c) != 0;
    }
    return cased;
}

bool is_upper(std::string_view text) {
    bool cased = false;
    for (std::size_t at = 0; at < text.size();) {
        auto c = static_cast<UChar32>(next_character(text, at));
        if (u_isULowercase(c) || u_istitle(c)) return false;
        cased |= u_isUUppercase(c) != 0;
    }
    return cased;
}

}  // namespace qlora::tokenizer::jinja
