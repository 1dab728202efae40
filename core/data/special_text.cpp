#include "core/data/special_text.h"

#include <algorithm>

namespace qlora::data::detail {

namespace {

std::size_t character_length(char lead) {
    auto byte = static_cast<unsigned char>(lead);
    return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// Where `text` without its guards ends up, byte by byte.
class Unguarded {
  public:
    Unguarded(std::string_view text, std::string_view guard) : guard_(guard.size()) {
        std::size_t at = 0;
        for (std::size_t found; (found = text.find(guard, at)) != std::string_view::npos;
             at = found + guard_) {
            clean_.append(text.substr(at, found - at));
            guards_.push_back(found);
        }
        clean_.append(text.substr(at));
    }
    const std::string& text() const { return clean_; }
    bool any_in(std::size_t begin, std::size_t end) const {
        auto next = std::lower_bound(guards_.begin(), guards_.end(), begin);
        return next != guards_.end() && *next < end;
    }
    std::size_t move(std::size_t offset) const {
        auto before = std::lower_bound(guards_.begin(), guards_.end(), offset) - guards_.begin();
        return offset - static_cast<std::size_t>(before) * guard_;
    }

  private:
    std::size_t guard_;
    std::string clean_;
    std::vector<std::size_t> guards_;
};

}  // namespace

SpecialText::SpecialText(const tokenizer::Tokenizer& tokenizer) : tokenizer_(tokenizer) {
    for (std::int32_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
        if (!tokenizer.is_special(id)) continue;
        std::string spelling = tokenizer.token(id);
        // One character cannot be broken up, and no tokenizer has such a special token.
        if (spelling.size() > 1 && spelling.size() > character_length(spelling[0]))
            by_first_byte_[static_cast<unsigned char>(spelling[0])].push_back(std::move(spelling));
    }
}

std::size_t SpecialText::match(std::string_view text, std::size_t at) const {
    std::size_t longest = 0;
    for (const std::string& spelling : by_first_byte_[static_cast<unsigned char>(text[at])])
        if (spelling.size() > longest && text.substr(at).starts_with(spelling)) longest = spelling.size();
    return longest;
}

bool SpecialText::occurs_in(std::string_view text) const {
    return find(text, 0, text.size()).has_value();
}

std::optional<Span> SpecialText::find(std::string_view text, std::size_t begin, std::size_t end) const {
    text = text.substr(0, end);
    for (std::size_t at = begin; at < text.size(); ++at)
        if (std::size_t length = match(text, at)) return Span{at, at + length};
    return std::nullopt;
}

std::optional<Span> SpecialText::find_before(std::string_view text, std::size_t begin,
                                             std::size_t end) const {
    std::optional<Span> longest;
    for (const auto& spellings : by_first_byte_)
        for (const std::string& spelling : spellings)
            if (end - begin >= spelling.size() && text.substr(begin, end - begin).ends_with(spelling) &&
                (!longest || spelling.size() > longest->end - longest->begin))
                longest = Span{end - spelling.size(), end};
    return longest;
}

std::string SpecialText::protect(std::string_view text, std::string_view guard) const {
    std::string guarded;
    for (std::size_t at = 0; at < text.size();) {
        // Character by character, so that what overlaps a special token is broken up as well.
        bool special = match(text, at) > 0;
        std::size_t length = std::min(character_length(text[at]), text.size() - at);
        guarded.append(text.substr(at, length));
        if (special) guarded.append(guard);
        at += length;
    }
    return guarded;
}

tokenizer::Encoding SpecialText::encode_protected(std::string& text, std::string_view guard,
                                                  std::vector<Span>& spans) const {
    tokenizer::Encoding guarded = tokenizer_.encode(text, {.add_special = false, .parse_special = true});
    Unguarded clean(text, guard);
    std::size_t count = guarded.ids.size();
    auto end_of = [&](std::size_t i) {
        return i + 1 < count ? std::size_t{guarded.begin[i + 1]} : text.size();
    };
    auto special = [&](std::size_t i) {
        if (!tokenizer_.is_special(guarded.ids[i])) return false;
        std::string_view spelled =
            std::string_view(text).substr(guarded.begin[i], end_of(i) - guarded.begin[i]);
        return spelled.find(tokenizer_.token(guarded.ids[i])) != std::string_view::npos;
    };
    tokenizer::Encoding result;
    auto keep = [&](std::size_t i) {
        result.ids.push_back(guarded.ids[i]);
        result.begin.push_back(static_cast<std::uint32_t>(clean.move(guarded.begin[i])));
    };
    for (std::size_t first = 0; first < count;) {
        std::size_t last = first;
        while (last < count && !special(last)) ++last;
        std::size_t begin = first < count ? guarded.begin[first] : text.size();
        std::size_t end = last < count ? guarded.begin[last] : text.size();
        if (clean.any_in(begin, end)) {
            std::size_t from = clean.move(begin);
            auto plain =
                tokenizer_.encode(std::string_view(clean.text()).substr(from, clean.move(end) - from),
                                  {.add_special = false, .parse_special = false});
            for (std::size_t i = 0; i < plain.ids.size(); ++i) {
                result.ids.push_back(plain.ids[i]);
                result.begin.push_back(plain.begin[i] + static_cast<std::uint32_t>(from));
            }
        } else {
            for (std::size_t i = first; i < last; ++i) keep(i);
        }
        if (last < count) keep(last);
        first = last + 1;
    }
    for (Span& span : spans) span = {clean.move(span.begin), clean.move(span.end)};
    text = clean.text();
    return result;
}

}  // namespace qlora::data::detail
