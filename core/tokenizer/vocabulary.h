#pragma once
// The vocabulary of a model: ids and their spellings.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/json.h"

namespace qlora::tokenizer {

struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

class Vocabulary {
  public:
    static constexpr std::int32_t limit = 1 << 24;  // ids lie below it; the largest models have some 300,000

    // Later spellings win an id, and later ids a spelling, as in the dictionaries of the peers.
    void add(std::string token, std::int32_t id);
    std::optional<std::int32_t> find(std::string_view token) const;
    const std::string& token(std::int32_t id) const;  // empty for an id that nothing has
    bool has(std::int32_t id) const;
    std::int32_t size() const { return static_cast<std::int32_t>(tokens_.size()); }  // largest id + 1

  private:
    TextMap<std::int32_t> ids_;
    std::vector<std::string> tokens_;
    std::vector<bool> present_;
};

// The "vocab" object of a model of tokenizer.json: spellings and their ids.
Vocabulary read_vocabulary(const JsonObject& model);

}  // namespace qlora::tokenizer
