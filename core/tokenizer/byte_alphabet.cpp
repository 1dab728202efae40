#include "core/tokenizer/byte_alphabet.h"

#include <array>

#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

constexpr bool printable(int byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

// Bytes without a printable character of their own take those from U+0100 on, in order.
constexpr auto characters = [] {
    std::array<char32_t, 256> table{};
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) table[byte] = printable(byte) ? static_cast<char32_t>(byte) : next++;
    return table;
}();

constexpr auto bytes = [] {
    std::array<std::int16_t, 0x144> table{};
    table.fill(-1);
    for (int byte = 0; byte < 256; ++byte) table[characters[byte]] = static_cast<std::int16_t>(byte);
    return table;
}();

}  // namespace

char32_t byte_character(std::uint8_t byte) { return characters[byte]; }

std::optional<std::uint8_t> character_byte(char32_t character) {
    if (character >= bytes.size() || bytes[character] < 0) return std::nullopt;
    return static_cast<std::uint8_t>(bytes[character]);
}

std::optional<std::string> spelled_bytes(std::string_view spelling) {
    std::string out;
    for (std::size_t at = 0; at < spelling.size();) {
        auto byte = character_byte(next_character(spelling, at));
        if (!byte) return std::nullopt;
        out += static_cast<char>(*byte);
    }
    return out;
}

std::string byte_spelling(std::string_view text) {
    std::string out;
    for (char byte : text) append_utf8(out, byte_character(static_cast<std::uint8_t>(byte)));
    return out;
}

std::string byte_token_spelling(int byte) {
    static constexpr char digits[] = "0123456789ABCDEF";
    return {'<', '0', 'x', digits[byte >> 4 & 15], digits[byte & 15], '>'};
}

}  // namespace qlora::tokenizer
