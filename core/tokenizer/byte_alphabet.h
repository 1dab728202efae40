#pragma once
// GPT-2's byte alphabet (Radford et al. 2019, encoder.py, bytes_to_unicode): each of the 256 bytes spelled as one
// printable character, so that a vocabulary of byte strings is text.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qlora::tokenizer {

char32_t byte_character(std::uint8_t byte);
std::optional<std::uint8_t> character_byte(char32_t character);

// The bytes that a spelling stands for; empty where a character is not of the alphabet.
std::optional<std::string> spelled_bytes(std::string_view spelling);
std::string byte_spelling(std::string_view bytes);

// Sentencepiece's spelling of a byte, "<0xE2>".
std::string byte_token_spelling(int byte);

}  // namespace qlora::tokenizer
