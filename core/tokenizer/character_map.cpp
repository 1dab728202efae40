#include "core/tokenizer/character_map.h"

#include <cstring>

#include "core/tokenizer/graphemes.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

// Only shorter clusters can be keys.
constexpr std::size_t cluster_limit = 6;

class Precompiled : public Normalizer {
  public:
    explicit Precompiled(CharacterMap map) : map_(std::move(map)) {
        // Most of a text is ASCII that stands for itself, before anything but a mark or a line end.
        for (int c = 0; c < 128; ++c) {
            char byte = static_cast<char>(c);
            plain_[c] = c != '\r' && !map_.shortest({&byte, 1});
        }
    }

    bool rewrite(const Piece& piece, Rewritten& out) const override {
        bool changed = false;
        std::size_t kept = 0;  // up to here `out` has everything
        auto replace = [&](std::size_t begin, std::size_t end, std::string_view text) {
            changed = true;
            out.append(piece.part(kept, begin - kept));
            out.append(text, piece.offset(begin));
            kept = end;
        };
        std::string_view text = piece.text;
        for (std::size_t at = 0; at < text.size();) {
            auto byte = static_cast<unsigned char>(text[at]);
            bool alone = at + 1 == text.size() || static_cast<unsigned char>(text[at + 1]) < 0x80;
            if (byte < 0x80 && plain_[byte] && alone) {
                ++at;
                continue;
            }
            std::size_t end = cluster_end(text, at);
            auto whole = end - at < cluster_limit ? map_.shortest(text.substr(at, end - at)) : std::nullopt;
            if (whole) replace(at, end, *whole);
            while (!whole && at < end) {
                std::size_t begin = at;
                next_character(text, at);
                if (auto found = map_.shortest(text.substr(begin, at - begin))) replace(begin, at, *found);
            }
            at = end;
        }
        if (changed) out.append(piece.part(kept, text.size() - kept));
        return changed;
    }

  private:
    CharacterMap map_;
    bool plain_[128];
};

}  // namespace

CharacterMap::CharacterMap(std::string_view charsmap, const std::string& where) {
    check_charsmap(charsmap, where);
    std::uint32_t size;
    std::memcpy(&size, charsmap.data(), sizeof size);
    units_.resize(size / sizeof(DartsUnit));
    std::memcpy(units_.data(), charsmap.data() + sizeof size, size);
    strings_ = charsmap.substr(sizeof size + size);
}

std::optional<std::string_view> CharacterMap::shortest(std::string_view text) const {
    std::uint32_t node = units_[0].offset();
    for (unsigned char byte : text) {
        if (byte == 0) return std::nullopt;
        DartsUnit unit = units_[node ^ byte];
        if (unit.label() != byte) return std::nullopt;
        node = node ^ byte ^ unit.offset();
        if (!unit.has_leaf()) continue;
        std::size_t at = units_[node].value();
        if (at >= strings_.size()) return std::nullopt;
        return std::string_view(strings_.c_str() + at);
    }
    return std::nullopt;
}

std::unique_ptr<const Normalizer> character_map_normalizer(CharacterMap map) {
    return std::make_unique<Precompiled>(std::move(map));
}

}  // namespace qlora::tokenizer
