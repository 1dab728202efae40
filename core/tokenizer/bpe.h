#pragma once
// Byte pair encoding (Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016; on bytes:
// Radford et al. 2019), merging as the tokenizers library does: lowest rank first, leftmost among equals.

#include <array>
#include <optional>
#include <utility>

#include "core/base/json.h"
#include "core/tokenizer/model.h"

namespace qlora::tokenizer {

struct BpeOptions {
    bool byte_level = false;     // the vocabulary is spelled in the byte alphabet; symbols are single bytes
    bool byte_fallback = false;  // a character outside the vocabulary becomes its bytes <0x00>..<0xFF>
    bool fuse_unk = false;
    bool ignore_merges = false;  // a piece that is in the vocabulary is one token, whatever the merges
    std::optional<std::string> unk;
    std::string continuing_prefix, word_suffix;
};

// Open addressing over (left, right) pairs of ids.
class MergeTable {
  public:
    struct Merge {
        std::int32_t rank = -1;  // -1: no such merge
        std::int32_t id = -1;
    };
    explicit MergeTable(std::size_t count);
    void add(std::int32_t left, std::int32_t right, Merge merge);  // a later merge of a pair replaces the earlier
    Merge find(std::int32_t left, std::int32_t right) const {
        std::uint64_t key = pack(left, right);
        for (std::size_t slot = hash(key) & mask_;; slot = (slot + 1) & mask_)
            if (slots_[slot].key == key)
                return slots_[slot].merge;
            else if (slots_[slot].key == free_key)
                return {};
    }

  private:
    static constexpr std::uint64_t free_key = ~std::uint64_t{0};
    struct Slot {
        std::uint64_t key = free_key;
        Merge merge;
    };
    static std::uint64_t pack(std::int32_t left, std::int32_t right) {
        return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
    }
    static std::uint64_t hash(std::uint64_t key) {
        key *= 0x9E3779B97F4A7C15ULL;
        return key ^ key >> 32;
    }
    std::vector<Slot> slots_;
    std::size_t mask_;
};

class Bpe : public Model {
  public:
    // Merges in order of rank, as (left, right) spellings. Throws input_error "tokenizer.merges" for a merge whose
    // parts or result the vocabulary lacks. Encoding throws "tokenizer.unk" when it needs an unk that is not there.
    Bpe(Vocabulary vocabulary, const std::vector<std::pair<std::string, std::string>>& merges, BpeOptions options,
        const std::string& where);

    std::unique_ptr<Session> session(bool literal) const override;
    const Vocabulary& vocabulary() const override { return vocabulary_; }
    std::string kind() const override;
    void set_special(const std::vector<std::int32_t>& ids) override;
    const BpeOptions& options() const { return options_; }

  private:
    friend class BpeSession;
    std::int32_t find_symbol(std::string_view character, bool first, bool last) const;
    bool words_start_with_space_mark() const;

    Vocabulary vocabulary_;
    BpeOptions options_;
    MergeTable merges_;
    std::array<std::int32_t, 256> bytes_;      // ids of single bytes (byte_level) or ASCII characters, or -1
    std::array<std::int32_t, 256> fallbacks_;  // ids of <0x00>..<0xFF>, or -1
    TextMap<std::int32_t> whole_;              // ignore_merges: ids of whole pieces as they stand in the text
    static constexpr std::int32_t no_unk = -1, missing_unk = -2;
    std::int32_t unk_ = no_unk;
    bool cuts_at_space_mark_ = false;  // text may be cut before each run of U+2581 without changing its tokens
    std::vector<bool> special_;
};

// The "model" object of a tokenizer.json.
std::unique_ptr<Bpe> read_bpe(const JsonObject& json, bool byte_level);

}  // namespace qlora::tokenizer
