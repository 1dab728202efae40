#include "core/tokenizer/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/uniset.h>

#include <optional>

#include "core/base/error.h"
#include "core/tokenizer/byte_alphabet.h"
#include "core/tokenizer/character_map.h"
#include "core/tokenizer/pattern.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

// Rewrites character by character: map(character, text) appends what stands for it, and returns false to keep it.
template <class Map>
bool map_characters(const Piece& piece, Rewritten& out, Map map) {
    bool changed = false;
    std::string text;
    for (std::size_t at = 0; at < piece.text.size();) {
        std::size_t start = at;
        char32_t character = next_character(piece.text, at);
        text.clear();
        bool replaced = map(character, text);
        if (replaced && !changed) {
            out.append(piece.part(0, start));
            changed = true;
        }
        if (replaced)
            out.append(text, piece.offset(start));
        else if (changed)
            out.append(piece.part(start, at - start));
    }
    return changed;
}

// The tokenizers library normalizes by Unicode 9: what came later stays as it is, and is no mark.
const icu::UnicodeSet& characters_of_unicode_9() {
    static const icu::UnicodeSet set = [] {
        UErrorCode status = U_ZERO_ERROR;
        icu::UnicodeSet characters(icu::UnicodeString("[:age=9.0:]"), status);
        if (U_FAILURE(status)) throw failure("tokenizer.icu", "ICU", u_errorName(status));
        characters.freeze();
        return characters;
    }();
    return set;
}

class UnicodeForm : public Normalizer {
  public:
    using Instance = const icu::Normalizer2* (*)(UErrorCode&);
    explicit UnicodeForm(Instance instance) {
        UErrorCode status = U_ZERO_ERROR;
        form_ = instance(status);
        if (U_FAILURE(status)) throw failure("tokenizer.icu", "ICU", u_errorName(status));
        of_unicode_9_.emplace(*form_, characters_of_unicode_9());
    }

    bool rewrite(const Piece& piece, Rewritten& out) const override {
        if (piece.text.size() > INT32_MAX)
            throw input_error("tokenizer.text_size", "the text", "expected at most 2 GiB for Unicode normalization");
        icu::StringPiece source(piece.text.data(), static_cast<int32_t>(piece.text.size()));
        UErrorCode status = U_ZERO_ERROR;
        if (form_->isNormalizedUTF8(source, status) && U_SUCCESS(status)) return false;
        icu::Edits edits;
        icu::StringByteSink<std::string> sink(&out.text);
        of_unicode_9_->normalizeUTF8(0, source, sink, &edits, status);
        if (U_FAILURE(status)) throw failure("tokenizer.icu", "Unicode normalization", u_errorName(status));
        out.origin.resize(out.text.size());
        auto edit = edits.getFineIterator();
        while (edit.next(status))
            for (int32_t i = 0; i < edit.newLength(); ++i)
                out.origin[edit.destinationIndex() + i] =
                    piece.offset(edit.sourceIndex() + (edit.hasChange() ? 0 : i));
        return true;
    }

  private:
    const icu::Normalizer2* form_;
    std::optional<icu::FilteredNormalizer2> of_unicode_9_;
};

class Lowercase : public Normalizer {
  public:
    bool rewrite(const Piece& piece, Rewritten& out) const override {
        return map_characters(piece, out, [](char32_t character, std::string& text) {
            // The one letter whose lower case, whatever the context, is two characters.
            if (character == 0x130) return text = "i\xCC\x87", true;
            auto lower = lower_case(character);
            if (lower == character) return false;
            append_utf8(text, lower);
            return true;
        });
    }
};

class StripAccents : public Normalizer {
  public:
    bool rewrite(const Piece& piece, Rewritten& out) const override {
        return map_characters(piece, out, [](char32_t character, std::string&) { return is_mark(character); });
    }
};

class Strip : public Normalizer {
  public:
    Strip(bool left, bool right) : left_(left), right_(right) {}

    bool rewrite(const Piece& piece, Rewritten& out) const override {
        std::size_t begin = 0, end = piece.text.size();
        for (std::size_t at = 0; left_ && at < end; begin = at)
            if (!is_whitespace(next_character(piece.text, at))) break;
        while (right_ && end > begin) {
            std::size_t start = previous_character(piece.text, end), at = start;
            if (!is_whitespace(next_character(piece.text, at))) break;
            end = start;
        }
        if (begin == 0 && end == piece.text.size()) return false;
        out.append(piece.part(begin, end - begin));
        return true;
    }

  private:
    bool left_, right_;
};

class Prepend : public Normalizer {
  public:
    explicit Prepend(std::string text) : text_(std::move(text)) {}

    bool rewrite(const Piece& piece, Rewritten& out) const override {
        if (piece.text.empty()) return false;
        out.append(text_, piece.offset(0));
        out.append(piece);
        return true;
    }

  private:
    std::string text_;
};

class Replace : public Normalizer {
  public:
    Replace(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}

    bool rewrite(const Piece& piece, Rewritten& out) const override {
        Matcher matcher(pattern_, piece.text);
        std::size_t done = 0, from = 0;
        bool changed = false;
        while (from <= piece.text.size() && matcher.next(from)) {
            changed = true;
            auto [begin, end] = std::pair(matcher.begin(), matcher.end());
            out.append(piece.part(done, begin - done));
            if (!piece.text.empty())
                out.append(content_, begin < piece.text.size() ? piece.offset(begin)
                                                                   : piece.offset(piece.text.size() - 1));
            done = end;
            from = end;
            if (begin == end) from = next_boundary(piece.text, end);
        }
        if (changed) out.append(piece.part(done, piece.text.size() - done));
        return changed;
    }

  private:
    static std::size_t next_boundary(std::string_view text, std::size_t at) {
        if (at >= text.size()) return at + 1;
        next_character(text, at);
        return at;
    }

    Pattern pattern_;
    std::string content_;
};

class Chain : public Normalizer {
  public:
    explicit Chain(std::vector<std::unique_ptr<const Normalizer>> parts) : parts_(std::move(parts)) {}

    bool rewrite(const Piece& piece, Rewritten& out) const override {
        bool changed = false;
        for (const auto& part : parts_) {
            Rewritten next;
            if (!part->rewrite(changed ? out.piece() : piece, next)) continue;
            out = std::move(next);
            changed = true;
        }
        return changed;
    }

  private:
    std::vector<std::unique_ptr<const Normalizer>> parts_;
};

bool is_chinese(char32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

class CleanText : public Normalizer {
  public:
    bool rewrite(const Piece& piece, Rewritten& out) const override {
        return map_characters(piece, out, [](char32_t c, std::string& text) {
            if (c == '\t' || c == '\n' || c == '\r') return text = " ", true;
            if (c == 0 || c == 0xFFFD || is_control(c)) return true;
            return c != ' ' && is_whitespace(c) ? (text = " ", true) : false;
        });
    }
};

class SpaceChinese : public Normalizer {
  public:
    bool rewrite(const Piece& piece, Rewritten& out) const override {
        return map_characters(piece, out, [](char32_t c, std::string& text) {
            if (!is_chinese(c)) return false;
            text += ' ';
            append_utf8(text, c);
            text += ' ';
            return true;
        });
    }
};

class DropNonspacingMarks : public Normalizer {
  public:
    bool rewrite(const Piece& piece, Rewritten& out) const override {
        return map_characters(piece, out, [](char32_t character, std::string&) { return is_mark_nonspacing(character); });
    }
};

// Blanks of many kinds to spaces, as sentencepiece's "nmt" rules have it; control characters go.
class Nmt : public Normalizer {
  public:
    bool rewrite(const Piece& piece, Rewritten& out) const override {
        return map_characters(piece, out, [](char32_t c, std::string& text) {
            if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return true;
            bool blank = c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                         c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
            if (blank) text = " ";
            return blank;
        });
    }
};

class SpellBytes : public Normalizer {
  public:
    bool rewrite(const Piece& piece, Rewritten& out) const override {
        for (std::size_t i = 0; i < piece.text.size(); ++i) {
            std::string spelling;
            append_utf8(spelling, byte_character(static_cast<std::uint8_t>(piece.text[i])));
            out.append(spelling, piece.offset(i));
        }
        return !piece.text.empty();
    }
};

std::string from_base64(const JsonObject& json, const char* key) {
    std::string text = json.string(key), bytes;
    while (text.ends_with('=')) text.pop_back();
    std::uint32_t bits = 0;
    int count = 0;
    for (char c : text) {
        int digit = c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52
                    : c == '+' ? 62 : c == '/' ? 63 : -1;
        if (digit < 0) json.fail(key, "text in base64");
        bits = bits << 6 | static_cast<std::uint32_t>(digit);
        if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8));
    }
    return bytes;
}

using Parts = std::vector<std::unique_ptr<const Normalizer>>;

std::unique_ptr<const Normalizer> bert(const JsonObject& json) {
    Parts parts;
    bool lowercase = json.boolean("lowercase", true);
    if (json.boolean("clean_text", true)) parts.push_back(std::make_unique<CleanText>());
    if (json.boolean("handle_chinese_chars", true)) parts.push_back(std::make_unique<SpaceChinese>());
    if (json.boolean("strip_accents", lowercase)) {
        parts.push_back(std::make_unique<UnicodeForm>(icu::Normalizer2::getNFDInstance));
        parts.push_back(std::make_unique<DropNonspacingMarks>());
    }
    if (lowercase) parts.push_back(std::make_unique<Lowercase>());
    return std::make_unique<Chain>(std::move(parts));
}

Pattern read_pattern(const JsonObject& json) {
    JsonObject pattern(json.value("pattern"), json.where());
    if (pattern.has("String")) return Pattern::literal(pattern.string("String"));
    return Pattern::regex(pattern.string("Regex"), json.where());
}

}  // namespace

std::string Normalizer::apply(std::string_view text) const {
    Rewritten out;
    return rewrite(Piece{text}, out) ? out.text : std::string(text);
}

std::unique_ptr<const Normalizer> read_normalizer(const Json& value, const std::string& where) {
    if (value.is_null()) return nullptr;
    JsonObject json(value, where + ": normalizer");
    std::string type = json.string("type");
    if (type == "Sequence") {
        const Json& list = json.value("normalizers");
        if (!list.is_array()) json.fail("normalizers", "an array");
        Parts parts;
        for (const Json& item : list)
            if (auto part = read_normalizer(item, where)) parts.push_back(std::move(part));
        return std::make_unique<Chain>(std::move(parts));
    }
    if (type == "NFC") return std::make_unique<UnicodeForm>(icu::Normalizer2::getNFCInstance);
    if (type == "NFD") return std::make_unique<UnicodeForm>(icu::Normalizer2::getNFDInstance);
    if (type == "NFKC") return std::make_unique<UnicodeForm>(icu::Normalizer2::getNFKCInstance);
    if (type == "NFKD") return std::make_unique<UnicodeForm>(icu::Normalizer2::getNFKDInstance);
    if (type == "Lowercase") return std::make_unique<Lowercase>();
    if (type == "StripAccents") return std::make_unique<StripAccents>();
    if (type == "Strip")
        return std::make_unique<Strip>(json.boolean("strip_left", true), json.boolean("strip_right", true));
    if (type == "Prepend") return std::make_unique<Prepend>(json.string("prepend"));
    if (type == "Replace") return std::make_unique<Replace>(read_pattern(json), json.string("content"));
    if (type == "BertNormalizer") return bert(json);
    if (type == "Nmt") return std::make_unique<Nmt>();
    if (type == "ByteLevel") return std::make_unique<SpellBytes>();
    if (type == "Precompiled") {
        std::string map = json.has("precompiled_charsmap") ? from_base64(json, "precompiled_charsmap") : "";
        if (map.empty()) return nullptr;  // models without rules
        return character_map_normalizer(CharacterMap(map, json.where() + ": precompiled_charsmap"));
    }
    throw input_error("tokenizer.unsupported", where, "the normalizer \"" + type + "\" is not supported");
}

}  // namespace qlora::tokenizer
