#pragma once
// The precompiled character map of sentencepiece models and of tokenizer.json's "Precompiled" normalizer:
// <u32 size><double array of u32 (darts-clone, S. Yata)><strings, each ending in NUL>.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokenizer/normalizer.h"

namespace qlora::tokenizer {

// A unit of the double array.
struct DartsUnit {
    std::uint32_t bits = 0;
    bool has_leaf() const { return bits >> 8 & 1; }
    std::uint32_t label() const { return bits & (1u << 31 | 0xFF); }
    std::uint32_t offset() const { return (bits >> 10) << ((bits & 1u << 9) >> 6); }
    std::uint32_t value() const { return bits & ~(1u << 31); }
};

// Checks a map, such that no search in it leaves the array, runs in a circle, or finds more than `most_results` keys.
// Throws "sentencepiece.charsmap".
void check_charsmap(std::string_view charsmap, const std::string& where, std::size_t most_results = 32);

// Immutable; any thread.
class CharacterMap {
  public:
    // Checks the map first; throws "sentencepiece.charsmap".
    CharacterMap(std::string_view charsmap, const std::string& where);
    // What stands for the shortest key that begins `text`, where there is one. Views this map's strings.
    std::optional<std::string_view> shortest(std::string_view text) const;

  private:
    std::vector<DartsUnit> units_;
    std::string strings_;
};

// As the tokenizers library applies it: to clusters of graphemes of less than six bytes as wholes, and to the
// characters of all others.
std::unique_ptr<const Normalizer> character_map_normalizer(CharacterMap map);

}  // namespace qlora::tokenizer
