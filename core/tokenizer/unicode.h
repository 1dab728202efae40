#pragma once
// UTF-8 and the character classes that tokenizers speak of.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qlora::tokenizer {

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";  // U+FFFD

// Length in bytes of the well-formed UTF-8 character at text[at], or 0. `incomplete` says whether the bytes up to
// the end of `text` begin a well-formed character; `length` of an ill-formed sequence is its maximal subpart
// (Unicode 3.9, "Substitution of Maximal Subparts"), which Python and Rust replace by one U+FFFD.
struct Utf8Character {
    char32_t value = 0xFFFD;
    std::uint8_t length = 1;
    bool valid = false;
    bool incomplete = false;
};
Utf8Character utf8_at(std::string_view text, std::size_t at);
bool is_utf8(std::string_view text);

// The character at a position of valid UTF-8, and one past it.
char32_t next_character(std::string_view text, std::size_t& at);
// Where the character that ends before `at` starts.
std::size_t previous_character(std::string_view text, std::size_t at);
std::size_t character_count(std::string_view text);
void append_utf8(std::string& out, char32_t character);

// The text with each ill-formed sequence replaced by U+FFFD. `origin` gets one entry a byte of the result: the
// offset in `text` that it stands for.
std::string replace_invalid_utf8(std::string_view text, std::vector<std::uint32_t>* origin = nullptr);

bool is_whitespace(char32_t character);     // White_Space
bool is_numeric(char32_t character);        // general category N, Unicode 17
bool is_word(char32_t character);           // \w of UTS #18: alphabetic, mark, decimal digit, connector, join control
// As of the versions of Unicode that the tokenizers library holds to: newer characters have none of these.
bool is_punctuation(char32_t character);      // general category P, Unicode 8
bool is_control(char32_t character);          // general category C, assigned, Unicode 8
bool is_mark_nonspacing(char32_t character);  // general category Mn, Unicode 8
bool is_mark(char32_t character);             // general category M, Unicode 9

// The script (Unicode Standard Annex #24) as the tokenizers library has it: that of Unicode 9, with kana as Han, the
// space and what was unassigned then as any_script.
inline constexpr int any_script = -1;
int script_of_unicode_9(char32_t character);

// The letter's lower case by itself, Unicode 17; U+0130 is left to the caller, its lower case being two characters.
char32_t lower_case(char32_t character);

}  // namespace qlora::tokenizer
