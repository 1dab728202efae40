#pragma once
// Cuts a template into text and tokens, with jinja2's whitespace control under trim_blocks and lstrip_blocks.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qlora::tokenizer::jinja {

struct Token {
    enum class Kind { text, variable_begin, variable_end, block_begin, block_end, name, string, integer, real, symbol, end };
    Kind kind;
    int line;
    std::string text;  // text, name, symbol; the value of a string
    std::int64_t integer = 0;
    double real = 0;
};

// Throws input_error "chat.syntax" with the line.
std::vector<Token> tokenize(std::string_view source, const std::string& where);

// The error of a line of the template.
[[noreturn]] void syntax_error(const std::string& where, int line, const std::string& message);

}  // namespace qlora::tokenizer::jinja
