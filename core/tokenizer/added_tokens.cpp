#include "core/tokenizer/added_tokens.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {

void SpellingTrie::add(std::string_view spelling, std::int32_t value) {
    if (spelling.empty()) return;
    if (nodes_.empty()) nodes_.emplace_back();
    first_[static_cast<unsigned char>(spelling[0])] = true;
    std::uint32_t node = 0;
    for (unsigned char byte : spelling) {
        auto& next = nodes_[node].next;
        auto place = std::lower_bound(next.begin(), next.end(), std::pair(byte, std::uint32_t{0}));
        if (place == next.end() || place->first != byte) {
            auto fresh = static_cast<std::uint32_t>(nodes_.size());
            next.insert(place, {byte, fresh});
            nodes_.emplace_back();
            node = fresh;
        } else {
            node = place->second;
        }
    }
    nodes_[node].value = value;
}

std::optional<std::int32_t> SpellingTrie::longest(std::string_view text, std::size_t at, std::size_t& length) const {
    std::optional<std::int32_t> best;
    std::uint32_t node = 0;
    for (std::size_t i = at; i < text.size(); ++i) {
        auto byte = static_cast<unsigned char>(text[i]);
        const auto& next = nodes_[node].next;
        auto place = std::lower_bound(next.begin(), next.end(), std::pair(byte, std::uint32_t{0}));
        if (place == next.end() || place->first != byte) break;
        node = place->second;
        if (nodes_[node].value < 0) continue;
        best = nodes_[node].value;
        length = i + 1 - at;
    }
    return best;
}

void AddedTokens::add(AddedToken token) {
    if (token.content.empty()) return;
    auto [place, fresh] = by_content_.try_emplace(token.content, tokens_.size());
    if (fresh)
        tokens_.push_back(std::move(token));
    else
        tokens_[place->second] = std::move(token);
}

void AddedTokens::seal(const Normalizer* normalizer) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
        const AddedToken& token = tokens_[i];
        by_id_[token.id] = i;
        if (token.special) special_.insert(token.content);
        auto index = static_cast<std::int32_t>(i);
        if (!token.normalized)
            raw_.add(token.content, index);
        else
            normalized_.add(normalizer ? normalizer->apply(token.content) : token.content, index);
    }
}

const AddedToken* AddedTokens::find(std::string_view content) const {
    auto found = by_content_.find(content);
    return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(std::int32_t id) const {
    auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

void AddedTokens::split(const Piece& piece, bool normalized, bool parse_special, const PieceSink& text,
                        const std::function<void(std::int32_t, std::uint32_t)>& token) const {
    const SpellingTrie& trie = normalized ? normalized_ : raw_;
    std::string_view all = piece.text;
    std::size_t done = 0;
    auto word_before = [&](std::size_t at) {
        if (at == 0) return false;
        std::size_t start = previous_character(all, at);
        return is_word(next_character(all, start));
    };
    auto word_after = [&](std::size_t at) { return at < all.size() && is_word(next_character(all, at)); };
    for (std::size_t at = 0; at < all.size();) {
        std::size_t length = 0;
        auto found = trie.starts(static_cast<unsigned char>(all[at])) ? trie.longest(all, at, length) : std::nullopt;
        if (!found) {
            ++at;
            continue;
        }
        const AddedToken& match = tokens_[*found];
        std::size_t begin = at, end = at + length;
        at = end;
        if (match.special && !parse_special) continue;
        if (match.single_word && (word_before(begin) || word_after(end))) continue;
        while (match.lstrip && begin > done) {
            std::size_t start = previous_character(all, begin), next = start;
            if (!is_whitespace(next_character(all, next))) break;
            begin = start;
        }
        while (match.rstrip && end < all.size()) {
            std::size_t next = end;
            if (!is_whitespace(next_character(all, next))) break;
            end = next;
        }
        begin = std::max(begin, done);
        if (begin >= end) continue;  // white space that the token before has taken
        if (done < begin) text(piece.part(done, begin - done));
        token(match.id, piece.offset(begin));
        done = end;
    }
    if (done < all.size()) text(piece.part(done, all.size() - done));
}

AddedToken read_added_token(const JsonObject& json, bool default_normalized) {
    AddedToken token;
    token.content = json.string("content");
    token.special = json.boolean("special", false);
    token.single_word = json.boolean("single_word", false);
    token.lstrip = json.boolean("lstrip", false);
    token.rstrip = json.boolean("rstrip", false);
    token.normalized = json.boolean("normalized", default_normalized);
    return token;
}

}  // namespace qlora::tokenizer
