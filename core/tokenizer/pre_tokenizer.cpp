#include "core/tokenizer/pre_tokenizer.h"

#include <optional>
#include <vector>

#include "core/base/error.h"
#include "core/tokenizer/pattern.h"
#include "core/tokenizer/unicode.h"

namespace qlora::tokenizer {
namespace {

// What becomes of the delimiters (SplitDelimiterBehavior of the tokenizers library).
enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

// Receives the stretches of a text in order, each a delimiter or not, and passes on the pieces they form. At most one
// stretch is held back, so that a text of any length is cut in constant memory.
class Delimiting {
  public:
    Delimiting(const Piece& piece, Behavior behavior, const PieceSink& sink)
        : piece_(piece), behavior_(behavior), sink_(sink) {}

    void stretch(std::size_t begin, std::size_t end, bool delimiter) {
        if (begin == end) return;
        bool joins = false;
        switch (behavior_) {
            case Behavior::removed:
            case Behavior::isolated: break;
            case Behavior::merged_with_previous: joins = delimiter && held_ && !last_delimiter_; break;
            case Behavior::merged_with_next: joins = held_ && last_delimiter_ && !delimiter; break;
            case Behavior::contiguous: joins = held_ && delimiter == last_delimiter_; break;
        }
        if (!joins) {
            finish();
            begin_ = begin;
            held_ = behavior_ != Behavior::removed || !delimiter;
        }
        end_ = end;
        last_delimiter_ = delimiter;
    }

    void finish() {
        if (held_) sink_(piece_.part(begin_, end_ - begin_));
        held_ = false;
    }

  private:
    const Piece& piece_;
    Behavior behavior_;
    const PieceSink& sink_;
    std::size_t begin_ = 0, end_ = 0;
    bool held_ = false, last_delimiter_ = false;
};

class Split : public PreTokenizer {
  public:
    Split(Pattern pattern, Behavior behavior, bool invert)
        : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

    void split(const Piece& piece, const PieceSink& sink) const override {
        Matcher matcher(pattern_, piece.text);
        Delimiting pieces(piece, behavior_, sink);
        std::size_t done = 0, from = 0;
        while (from < piece.text.size() && matcher.next(from)) {
            auto [begin, end] = std::pair(matcher.begin(), matcher.end());
            pieces.stretch(done, begin, invert_);
            pieces.stretch(begin, end, !invert_);
            done = from = end;
            if (begin == end && from < piece.text.size()) next_character(piece.text, from);
        }
        pieces.stretch(done, piece.text.size(), invert_);
        pieces.finish();
    }

  private:
    Pattern pattern_;
    Behavior behavior_;
    bool invert_;
};

// Cuts at characters of a class.
template <bool (*is_delimiter)(char32_t)>
class CharacterSplit : public PreTokenizer {
  public:
    explicit CharacterSplit(Behavior behavior) : behavior_(behavior) {}

    void split(const Piece& piece, const PieceSink& sink) const override {
        Delimiting pieces(piece, behavior_, sink);
        std::size_t start = 0;
        for (std::size_t at = 0; at < piece.text.size();) {
            std::size_t here = at;
            if (!is_delimiter(next_character(piece.text, at))) continue;
            pieces.stretch(start, here, false);
            pieces.stretch(here, at, true);
            start = at;
        }
        pieces.stretch(start, piece.text.size(), false);
        pieces.finish();
    }

  private:
    Behavior behavior_;
};

// Words, and runs of what is neither word nor blank: \w+|[^\w\s]+.
class WordSplit : public PreTokenizer {
  public:
    void split(const Piece& piece, const PieceSink& sink) const override {
        std::size_t start = 0;
        int last = blank;
        for (std::size_t at = 0; at <= piece.text.size();) {
            std::size_t here = at;
            int kind = blank;
            if (at < piece.text.size()) {
                char32_t character = next_character(piece.text, at);
                kind = is_word(character) ? word : is_whitespace(character) ? blank : other;
            } else {
                ++at;
            }
            if (kind == last && here < piece.text.size()) continue;
            if (last != blank) sink(piece.part(start, here - start));
            start = here;
            last = kind;
        }
    }

  private:
    enum Kind { blank, word, other };
};

// Cuts where the script changes; blanks belong to the script before them.
class ScriptSplit : public PreTokenizer {
  public:
    void split(const Piece& piece, const PieceSink& sink) const override {
        std::optional<int> last;
        std::size_t start = std::string_view::npos;
        for (std::size_t at = 0; at < piece.text.size();) {
            std::size_t here = at;
            int script = script_of_unicode_9(next_character(piece.text, at));
            if (script == any_script) continue;
            if (last != script) {
                if (start != std::string_view::npos) sink(piece.part(start, here - start));
                start = here;
            }
            last = script;
        }
        if (start != std::string_view::npos) sink(piece.part(start, piece.text.size() - start));
    }
};

class FixedLength : public PreTokenizer {
  public:
    explicit FixedLength(std::size_t length) : length_(length) {}
    void split(const Piece& piece, const PieceSink& sink) const override {
        for (std::size_t start = 0, at = 0; at < piece.text.size(); start = at) {
            for (std::size_t i = 0; i < length_ && at < piece.text.size(); ++i) next_character(piece.text, at);
            sink(piece.part(start, at - start));
        }
    }

  private:
    std::size_t length_;
};

bool is_bert_punctuation(char32_t c) {
    return c < 0x80 ? (c > ' ' && c < 0x7F && !is_word(c)) || c == '_' : is_punctuation(c);
}

// Puts a space before the text unless one is there, then cuts with GPT-2's expression where asked to.
class ByteLevel : public PreTokenizer {
  public:
    ByteLevel(bool add_prefix_space, std::optional<Split> words)
        : add_prefix_space_(add_prefix_space), words_(std::move(words)) {}

    void split(const Piece& piece, const PieceSink& sink) const override {
        if (!add_prefix_space_ || piece.text.starts_with(' ')) return cut(piece, sink);
        Rewritten prefixed;
        prefixed.append(" ", piece.offset(0));
        prefixed.append(piece);
        cut(prefixed.piece(), sink);
    }

  private:
    void cut(const Piece& piece, const PieceSink& sink) const {
        if (words_)
            words_->split(piece, sink);
        else
            sink(piece);
    }

    bool add_prefix_space_;
    std::optional<Split> words_;
};

class Metaspace : public PreTokenizer {
  public:
    enum class Prepend { always, first, never };
    Metaspace(std::string replacement, Prepend prepend, bool split)
        : replacement_(std::move(replacement)),
          prepend_(prepend),
          split_(split ? std::optional<Split>(std::in_place, Pattern::literal(replacement_),
                                              Behavior::merged_with_next, false)
                       : std::nullopt) {}

    void split(const Piece& piece, const PieceSink& sink) const override {
        Rewritten out;
        bool starts = piece.text.starts_with(' ') || piece.text.starts_with(replacement_);
        bool prefix = prepend_ == Prepend::always || (prepend_ == Prepend::first && piece.offset(0) == 0);
        if (prefix && !starts) out.append(replacement_, piece.offset(0));
        for (std::size_t at = 0; at < piece.text.size();) {
            std::size_t space = std::min(piece.text.find(' ', at), piece.text.size());
            out.append(piece.part(at, space - at));
            if (space < piece.text.size()) out.append(replacement_, piece.offset(space));
            at = space + 1;
        }
        if (split_)
            split_->split(out.piece(), sink);
        else
            sink(out.piece());
    }

  private:
    std::string replacement_;
    Prepend prepend_;
    std::optional<Split> split_;
};

class Chain : public PreTokenizer {
  public:
    explicit Chain(std::vector<std::unique_ptr<const PreTokenizer>> parts) : parts_(std::move(parts)) {}
    void split(const Piece& piece, const PieceSink& sink) const override { run(0, piece, sink); }

  private:
    void run(std::size_t part, const Piece& piece, const PieceSink& sink) const {
        if (part == parts_.size()) return sink(piece);
        if (part + 1 == parts_.size()) return parts_[part]->split(piece, sink);
        parts_[part]->split(piece, [&](const Piece& inner) { run(part + 1, inner, sink); });
    }

    std::vector<std::unique_ptr<const PreTokenizer>> parts_;
};

class Reader {
  public:
    Reader(const std::string& where, bool& byte_level)
        : where_(where + ": pre_tokenizer"), byte_level_(byte_level) {}

    std::unique_ptr<const PreTokenizer> read(const Json& value) {
        if (value.is_null()) return nullptr;
        JsonObject json(value, where_);
        std::string type = json.string("type");
        if (byte_level_ && type != "Sequence")
            throw input_error("tokenizer.unsupported", where_,
                              "the pre-tokenizer \"" + type + "\" after ByteLevel is not supported");
        if (type == "Sequence") return sequence(json);
        if (type == "ByteLevel") return byte_level(json);
        if (type == "Split") return split(json);
        if (type == "Metaspace") return metaspace(json);
        if (type == "Digits")
            return std::make_unique<CharacterSplit<is_numeric>>(
                json.boolean("individual_digits", false) ? Behavior::isolated : Behavior::contiguous);
        if (type == "Punctuation")
            return std::make_unique<CharacterSplit<is_bert_punctuation>>(behavior(json, "Isolated"));
        if (type == "WhitespaceSplit") return std::make_unique<CharacterSplit<is_whitespace>>(Behavior::removed);
        if (type == "Whitespace")
            return std::make_unique<WordSplit>();
        if (type == "CharDelimiterSplit") {
            std::string delimiter = json.string("delimiter");
            if (!is_utf8(delimiter) || character_count(delimiter) != 1) json.fail("delimiter", "one character");
            return std::make_unique<Split>(Pattern::literal(delimiter), Behavior::removed, false);
        }
        if (type == "UnicodeScripts") return std::make_unique<ScriptSplit>();
        if (type == "FixedLength")
            return std::make_unique<FixedLength>(static_cast<std::size_t>(json.integer("length", 1, INT32_MAX, 5)));
        if (type == "BertPreTokenizer") {
            std::vector<std::unique_ptr<const PreTokenizer>> parts;
            parts.push_back(std::make_unique<CharacterSplit<is_whitespace>>(Behavior::removed));
            parts.push_back(std::make_unique<CharacterSplit<is_bert_punctuation>>(Behavior::isolated));
            return std::make_unique<Chain>(std::move(parts));
        }
        throw input_error("tokenizer.unsupported", where_, "the pre-tokenizer \"" + type + "\" is not supported");
    }

  private:
    std::unique_ptr<const PreTokenizer> sequence(const JsonObject& json) {
        const Json& list = json.value("pretokenizers");
        if (!list.is_array()) json.fail("pretokenizers", "an array");
        std::vector<std::unique_ptr<const PreTokenizer>> parts;
        for (const Json& item : list)
            if (auto part = read(item)) parts.push_back(std::move(part));
        return std::make_unique<Chain>(std::move(parts));
    }

    std::unique_ptr<const PreTokenizer> byte_level(const JsonObject& json) {
        byte_level_ = true;
        std::optional<Split> words;
        if (json.boolean("use_regex", true))
            words.emplace(Pattern::regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
                                         where_),
                          Behavior::isolated, false);
        return std::make_unique<ByteLevel>(json.boolean("add_prefix_space", true), std::move(words));
    }

    std::unique_ptr<const PreTokenizer> split(const JsonObject& json) {
        JsonObject pattern(json.value("pattern"), where_);
        return std::make_unique<Split>(pattern.has("String") ? Pattern::literal(pattern.string("String"))
                                                             : Pattern::regex(pattern.string("Regex"), where_),
                                       behavior(json, nullptr), json.boolean("invert", false));
    }

    std::unique_ptr<const PreTokenizer> metaspace(const JsonObject& json) {
        std::string replacement = json.string("replacement");
        if (!is_utf8(replacement) || character_count(replacement) != 1)
            json.fail("replacement", "one character");
        // Older files say add_prefix_space, and nothing of splitting.
        std::string fallback = json.boolean("add_prefix_space", true) ? "always" : "never";
        std::string scheme = json.string("prepend_scheme", fallback);
        if (scheme != "always" && scheme != "first" && scheme != "never")
            json.fail("prepend_scheme", "\"always\", \"first\" or \"never\"");
        return std::make_unique<Metaspace>(replacement,
                                           scheme == "always"  ? Metaspace::Prepend::always
                                           : scheme == "first" ? Metaspace::Prepend::first
                                                               : Metaspace::Prepend::never,
                                           json.boolean("split", true));
    }

    Behavior behavior(const JsonObject& json, const char* fallback) {
        std::string name = fallback ? json.string("behavior", fallback) : json.string("behavior");
        if (name == "Removed") return Behavior::removed;
        if (name == "Isolated") return Behavior::isolated;
        if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
        if (name == "MergedWithNext") return Behavior::merged_with_next;
        if (name == "Contiguous") return Behavior::contiguous;
        json.fail("behavior", "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
    }

    std::string where_;
    bool& byte_level_;
};

}  // namespace

std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const Json& json, const std::string& where, bool& byte_level) {
    byte_level = false;
    return Reader(where, byte_level).read(json);
}

}  // namespace qlora::tokenizer
