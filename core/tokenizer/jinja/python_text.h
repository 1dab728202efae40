#pragma once
// Methods of Python's str on valid UTF-8.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qlora::tokenizer::jinja {

bool is_python_space(char32_t character);  // str.isspace

// `characters` empty stands for white space.
std::string_view left_stripped(std::string_view text, std::string_view characters = {});
std::string_view right_stripped(std::string_view text, std::string_view characters = {});

std::string lower(std::string_view text);
std::string upper(std::string_view text);
std::string capitalized(std::string_view text);
std::string title(std::string_view text);             // str.title
std::string title_of_words(std::string_view text);    // jinja2's filter of that name
std::string replaced(std::string_view text, std::string_view from, std::string_view to, std::int64_t count);
std::vector<std::string> split(std::string_view text, std::string_view separator, std::int64_t most, bool from_right);
std::vector<std::string> split_space(std::string_view text, std::int64_t most, bool from_right);
std::vector<std::string> split_lines(std::string_view text);
// How often `wanted`, which is not empty, occurs; no fewer than the cuts of split_space or split_lines.
std::size_t occurrences(std::string_view text, std::string_view wanted);
std::size_t most_cuts(std::string_view text);

// Substrings by character, out-of-range bounds clipped.
std::size_t byte_of(std::string_view text, std::size_t character);
bool all_of(std::string_view text, bool (*holds)(char32_t));  // and not empty
bool is_alpha(char32_t character);
bool is_decimal(char32_t character);
bool is_alnum(char32_t character);
// Whether cased characters are there and all of one case.
bool is_lower(std::string_view text);
bool is_upper(std::string_view text);

}  // namespace qlora::tokenizer::jinja
