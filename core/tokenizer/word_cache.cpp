#include "core/tokenizer/word_cache.h"

#include <cstring>

namespace qlora::tokenizer {
namespace {

constexpr std::size_t slot_count = 1 << 16;

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

std::uint64_t WordCache::hash(std::string_view word) {
    std::uint64_t state = 0x9E3779B97F4A7C15ULL ^ word.size();
    const char* data = word.data();
    std::size_t left = word.size();
    for (; left >= 8; left -= 8, data += 8) {
        std::uint64_t chunk;
        std::memcpy(&chunk, data, 8);
        state = fold(state ^ chunk, 0xD6E8FEB86659FD93ULL);
    }
    std::uint64_t tail = 0;
    for (std::size_t i = 0; i < left; ++i) tail = tail << 8 | static_cast<unsigned char>(data[i]);
    return fold(state ^ tail, 0xA0761D6478BD642FULL);
}

std::size_t WordCache::find(std::uint64_t hash, std::string_view word) const {
    for (std::size_t i = hash & (slot_count - 1);; i = (i + 1) & (slot_count - 1)) {
        const Slot& slot = slots_[i];
        if (slot.length == 0) return i;
        if (slot.hash == hash && slot.length == word.size() &&
            std::memcmp(texts_.data() + slot.text, word.data(), word.size()) == 0)
            return i;
    }
}

std::optional<WordCache::Entry> WordCache::get(std::string_view word) const {
    if (slots_.empty() || word.empty() || word.size() > longest_word) return std::nullopt;
    const Slot& slot = slots_[find(hash(word), word)];
    if (slot.length == 0) return std::nullopt;
    return Entry{{ids_.data() + slot.tokens, slot.count}, {begin_.data() + slot.tokens, slot.count}};
}

void WordCache::put(std::string_view word, std::span<const std::int32_t> ids, std::span<const std::uint32_t> begin,
                    std::uint32_t base) {
    if (word.empty() || word.size() > longest_word) return;
    if (used_ * 2 >= slot_count) {
        slots_.clear();
        texts_.clear();
        ids_.clear();
        begin_.clear();
        used_ = 0;
    }
    if (slots_.empty()) slots_.resize(slot_count);
    auto key = hash(word);
    Slot& slot = slots_[find(key, word)];
    if (slot.length != 0) return;
    slot = {key, static_cast<std::uint32_t>(texts_.size()), static_cast<std::uint32_t>(ids_.size()),
            static_cast<std::uint8_t>(word.size()), static_cast<std::uint8_t>(ids.size())};
    texts_ += word;
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    for (std::uint32_t at : begin) begin_.push_back(static_cast<std::uint8_t>(at - base));
    ++used_;
}

}  // namespace qlora::tokenizer
