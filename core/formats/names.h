#pragma once
// Names out of untrusted files, made fit for a message.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace qlora::formats {

// The length of the valid UTF-8 character at the start of `text` (no surrogates, no overlong forms, at most
// U+10FFFF), or 0. `text` is not empty.
std::size_t utf8_length(std::string_view text);
bool valid_utf8(std::string_view text);

// In quotation marks, control characters and invalid bytes as \xNN, at most some 80 bytes.
std::string in_quotes(std::string_view name);
// The first five, quoted, "and 37 more".
std::string listed(std::span<const std::string_view> names);

}  // namespace qlora::formats
