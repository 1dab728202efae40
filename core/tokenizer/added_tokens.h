#pragma once
// The "added_tokens" of tokenizer.json: spellings found in the text before anything else happens to it.

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/base/json.h"
#include "core/tokenizer/normalizer.h"
#include "core/tokenizer/piece.h"
#include "core/tokenizer/vocabulary.h"

namespace qlora::tokenizer {

struct AddedToken {
    std::int32_t id = -1;
    std::string content;
    bool special = false;      // bos, eos, ...: left out by skip_special, plain text under parse_special=false
    bool single_word = false;  // only between characters that are no part of a word
    bool lstrip = false, rstrip = false;  // takes the white space before, after it
    bool normalized = true;    // looked for in the normalized text
};

// Finds the leftmost longest of many spellings.
class SpellingTrie {
  public:
    void add(std::string_view spelling, std::int32_t value);
    bool empty() const { return nodes_.empty(); }
    // Whether a spelling starts with this byte.
    bool starts(unsigned char byte) const { return first_[byte]; }
    // The longest spelling at text[at], or nothing; `length` gets its length.
    std::optional<std::int32_t> longest(std::string_view text, std::size_t at, std::size_t& length) const;

  private:
    struct Node {
        std::vector<std::pair<unsigned char, std::uint32_t>> next;  // ascending by byte
        std::int32_t value = -1;
    };
    std::vector<Node> nodes_;
    std::array<bool, 256> first_{};
};

// Immutable once built; any thread.
class AddedTokens {
  public:
    // Adds, or replaces one of the same spelling.
    void add(AddedToken token);
    // Builds the search; `normalizer` may be null. No add() afterwards.
    void seal(const Normalizer* normalizer);

    const std::vector<AddedToken>& list() const { return tokens_; }
    const AddedToken* find(std::string_view content) const;
    const AddedToken* find(std::int32_t id) const;
    bool is_special(std::string_view content) const { return special_.contains(content); }

    // Cuts a piece at the tokens of one kind: each stretch between them goes to `text`, each token to `token` with
    // the offset in the input where it starts. Without `parse_special`, special tokens are text.
    void split(const Piece& piece, bool normalized, bool parse_special, const PieceSink& text,
               const std::function<void(std::int32_t id, std::uint32_t begin)>& token) const;
    bool any(bool normalized) const { return !(normalized ? normalized_ : raw_).empty(); }

  private:
    std::vector<AddedToken> tokens_;
    TextMap<std::size_t> by_content_;
    std::unordered_map<std::int32_t, std::size_t> by_id_;
    std::unordered_set<std::string, TextHash, std::equal_to<>> special_;
    SpellingTrie raw_, normalized_;
};

// One token as tokenizer.json and tokenizer_config.json write it.
AddedToken read_added_token(const JsonObject& json, bool default_normalized);

}  // namespace qlora::tokenizer
