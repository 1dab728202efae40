#pragma once
// Remembers the tokens of words met before: most of a text is a few thousand words.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qlora::tokenizer {

// For one thread. Bounded: forgets everything when full.
class WordCache {
  public:
    static constexpr std::size_t longest_word = 64;  // bytes; longer words are rarely met again

    struct Entry {
        std::span<const std::int32_t> ids;
        std::span<const std::uint8_t> begin;
    };
    // Valid until the next put().
    std::optional<Entry> get(std::string_view word) const;
    // `begin` counts from `base`.
    void put(std::string_view word, std::span<const std::int32_t> ids, std::span<const std::uint32_t> begin,
             std::uint32_t base);

  private:
    struct Slot {
        std::uint64_t hash = 0;
        std::uint32_t text = 0, tokens = 0;
        std::uint8_t length = 0, count = 0;  // length 0: free
    };
    static std::uint64_t hash(std::string_view word);
    std::size_t find(std::uint64_t hash, std::string_view word) const;  // the word's slot, or the free one for it

    std::vector<Slot> slots_;
    std::size_t used_ = 0;
    std::string texts_;
    std::vector<std::int32_t> ids_;
    std::vector<std::uint8_t> begin_;
};

}  // namespace qlora::tokenizer
