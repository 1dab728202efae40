#include "core/tokenizer/unicode.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "core/tokenizer/unicode_additions.h"

namespace qlora::tokenizer {
namespace {

// The general category as two letters; "Cn" where unassigned.
std::string_view category(char32_t character) {
    auto in = std::upper_bound(std::begin(unicode_additions), std::end(unicode_additions), character,
                               [](char32_t value, const CategoryRange& range) { return value < range.first; });
    if (in != std::begin(unicode_additions) && character <= std::prev(in)->last) return std::prev(in)->category;
    static constexpr std::string_view names[] = {"Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Me", "Mc", "Nd",
                                                 "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cs", "Pd",
                                                 "Ps", "Pe", "Pc", "Po", "Sm", "Sc", "Sk", "So", "Pi", "Pf"};
    return names[u_charType(static_cast<UChar32>(character))];
}

// The version of Unicode that gave the character a meaning; 255 where none has.
int age(char32_t c) {
    UVersionInfo version;
    u_charAge(static_cast<UChar32>(c), version);
    return version[0] == 0 ? 255 : version[0];
}

// The category the character had in Unicode 8, "Cn" where that version lacks it.
std::string_view category_of_unicode_8(char32_t c) {
    switch (c) {  // these have changed since
        case 0x166D: case 0x111C9: return "Po";
        case 0x1734: case 0x1171E: return "Mn";
        case 0x1885: case 0x1886: return "Lo";
        case 0xA9BD: return "Mc";
        default: return age(c) <= 8 ? category(c) : "Cn";
    }
}

}  // namespace

Utf8Character utf8_at(std::string_view text, std::size_t at) {
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    unsigned char lead = byte(0);
    if (lead < 0x80) return {lead, 1, true, false};
    int length = lead >= 0xC2 && lead <= 0xDF ? 2 : (lead & 0xF0) == 0xE0 ? 3 : lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
    if (length == 0) return {};
    // The second byte's range rules out overlong forms, surrogates and what lies beyond U+10FFFF.
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    char32_t value = lead & (0xFF >> (length + 1));
    for (int i = 1; i < length; ++i, low = 0x80, high = 0xBF) {
        if (at + i >= text.size()) return {0xFFFD, static_cast<std::uint8_t>(i), false, true};
        if (byte(i) < low || byte(i) > high) return {0xFFFD, static_cast<std::uint8_t>(i), false, false};
        value = value << 6 | (byte(i) & 0x3F);
    }
    return {value, static_cast<std::uint8_t>(length), true, false};
}

bool is_utf8(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        std::uint64_t eight;
        if (at + sizeof eight <= text.size()) {
            std::memcpy(&eight, text.data() + at, sizeof eight);
            if ((eight & 0x8080808080808080ULL) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        auto character = utf8_at(text, at);
        if (!character.valid) return false;
        at += character.length;
    }
    return true;
}

char32_t next_character(std::string_view text, std::size_t& at) {
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    unsigned char lead = byte(0);
    if (lead < 0x80) return text[at++];
    char32_t value;
    if (lead < 0xE0) {
        value = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
        at += 2;
    } else if (lead < 0xF0) {
        value = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
        at += 3;
    } else {
        value = (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
        at += 4;
    }
    return value;
}

std::size_t previous_character(std::string_view text, std::size_t at) {
    do --at;
    while (at > 0 && (text[at] & 0xC0) == 0x80);
    return at;
}

std::size_t character_count(std::string_view text) {
    return std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
}

void append_utf8(std::string& out, char32_t c) {
    if (c < 0x80) {
        out += static_cast<char>(c);
    } else if (c < 0x800) {
        out += static_cast<char>(0xC0 | c >> 6);
        out += static_cast<char>(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        out += static_cast<char>(0xE0 | c >> 12);
        out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
        out += static_cast<char>(0x80 | (c & 0x3F));
    } else {
        out += static_cast<char>(0xF0 | c >> 18);
        out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
        out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
        out += static_cast<char>(0x80 | (c & 0x3F));
    }
}

std::string replace_invalid_utf8(std::string_view text, std::vector<std::uint32_t>* origin) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        auto character = utf8_at(text, at);
        std::string_view good = character.valid ? text.substr(at, character.length) : replacement_character;
        for (std::size_t i = 0; origin && i < good.size(); ++i)
            origin->push_back(static_cast<std::uint32_t>(character.valid ? at + i : at));
        out += good;
        at += character.length;
    }
    return out;
}

bool is_whitespace(char32_t c) {
    if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_numeric(char32_t c) {
    if (c < 0x80) return c >= '0' && c <= '9';
    return category(c)[0] == 'N' || (c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6);
}

bool is_word(char32_t c) {
    if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    auto kind = category(c);
    return kind[0] == 'L' || kind[0] == 'M' || kind == "Nd" || kind == "Nl" || kind == "Pc" || c == 0x200C ||
           c == 0x200D || u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_ALPHABETIC);
}

bool is_punctuation(char32_t c) { return category_of_unicode_8(c)[0] == 'P'; }

bool is_control(char32_t c) {
    auto kind = category_of_unicode_8(c);
    return kind[0] == 'C' && kind != "Cn";
}

bool is_mark_nonspacing(char32_t c) { return c >= 0x300 && category_of_unicode_8(c) == "Mn"; }

bool is_mark(char32_t c) {
    if (c == 0x111C9) return false;  // a mark since Unicode 11
    return c >= 0x300 && ((category(c)[0] == 'M' && age(c) <= 9) || c == 0x1CF2 || c == 0x1CF3);
}

char32_t lower_case(char32_t c) {
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 0x20 : c;
    switch (c) {  // since Unicode 15
        case 0x1C89: case 0xA7CC: case 0xA7CE: case 0xA7D2: case 0xA7D4: case 0xA7DA: return c + 1;
        case 0xA7CB: return 0x264;
        case 0xA7DC: return 0x19B;
        default: break;
    }
    if (c >= 0x10D50 && c <= 0x10D65) return c + 0x20;
    if (c >= 0x16EA0 && c <= 0x16EB8) return c + 0x1B;
    return static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
}

int script_of_unicode_9(char32_t c) {
    if (c == 0x30FC) return USCRIPT_HAN;
    if (c == ' ' || age(c) > 9) return any_script;
    if (c == 0x589 || c == 0x61C) return USCRIPT_COMMON;  // they have changed since
    UErrorCode status = U_ZERO_ERROR;
    auto script = uscript_getScript(static_cast<UChar32>(c), &status);
    if (U_FAILURE(status) || script == USCRIPT_UNKNOWN) return any_script;
    return script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA ? USCRIPT_HAN : script;
}

}  // namespace qlora::tokenizer
