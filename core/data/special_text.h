#pragma once
// Special tokens spelled out inside data: found, and kept from being read as such.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/tokenizer.h"

namespace qlora::data::detail {

struct Span {
    std::size_t begin = 0, end = 0;
    bool operator==(const Span&) const = default;
};

// Immutable; any thread may read. The tokenizer must outlive it.
class SpecialText {
  public:
    explicit SpecialText(const tokenizer::Tokenizer& tokenizer);

    bool occurs_in(std::string_view text) const;
    // The first special token spelled within [begin, end).
    std::optional<Span> find(std::string_view text, std::size_t begin, std::size_t end) const;
    // The special token spelled right before `end`, not reaching before `begin`.
    std::optional<Span> find_before(std::string_view text, std::size_t begin, std::size_t end) const;
    // Puts `guard` after the first character of every special token spelled in the text.
    std::string protect(std::string_view text, std::string_view guard) const;
    // Encodes a text in which `guard` breaks up what must stay plain, and takes the guards out of it: special
    // tokens come only from where none was put. Offsets are into the text left in `text`; `spans` are moved
    // along.
    tokenizer::Encoding encode_protected(std::string& text, std::string_view guard,
                                         std::vector<Span>& spans) const;

  private:
    std::size_t match(std::string_view text,
                      std::size_t at) const;  // length of the longest one spelled there, or 0

    const tokenizer::Tokenizer& tokenizer_;
    std::vector<std::string> by_first_byte_[256];
};

}  // namespace qlora::data::detail
