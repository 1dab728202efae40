#include "core/tokenizer/word_piece.h"

#include "core/base/error.h"
#include "core/tokenizer/unicode.h"
#include "core/tokenizer/word_cache.h"

namespace qlora::tokenizer {

WordPiece::WordPiece(Vocabulary vocabulary, WordPieceOptions options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)), unk_(vocabulary_.find(options_.unk).value_or(-1)) {
    std::vector<std::pair<std::string_view, std::int32_t>> starting, continuing;
    for (std::int32_t id = 0; id < vocabulary_.size(); ++id) {
        std::string_view token = vocabulary_.token(id);
        if (vocabulary_.find(token) != id) continue;
        starting.emplace_back(token, id);
        if (token.starts_with(options_.continuing_prefix))
            continuing.emplace_back(token.substr(options_.continuing_prefix.size()), id);
    }
    starting_ = PrefixTrie(std::move(starting));
    continuing_ = PrefixTrie(std::move(continuing));
}

void WordPiece::set_special(const std::vector<std::int32_t>& ids) {
    special_.assign(vocabulary_.size(), false);
    for (auto id : ids)
        if (id >= 0 && id < vocabulary_.size() && id != unk_) special_[id] = true;
}

class WordPieceSession : public Model::Session {
  public:
    WordPieceSession(const WordPiece& model, bool literal) : model_(model), literal_(literal && !model.special_.empty()) {}

    void encode(std::string_view word, Tokens& out) override {
        if (auto known = cache_.get(word)) {
            for (std::size_t i = 0; i < known->ids.size(); ++i) out.add(known->ids[i], known->begin[i]);
            return;
        }
        std::size_t first = out.ids.size();
        if (too_long(word) || !cut(word, out)) {
            out.ids.resize(first);
            out.begin.resize(first);
            out.add(unk(), 0);
        }
        cache_.put(word, std::span(out.ids).subspan(first), std::span(out.begin).subspan(first), 0);
    }

  private:
    bool too_long(std::string_view word) const {
        std::size_t longest = model_.options_.longest_word;
        return word.size() > longest && (word.size() > 4 * longest || character_count(word) > longest);
    }

    bool cut(std::string_view word, Tokens& out) const {
        for (std::size_t at = 0; at < word.size();) {
            const PrefixTrie& trie = at == 0 ? model_.starting_ : model_.continuing_;
            std::size_t end = at;
            std::int32_t best = -1;
            auto node = PrefixTrie::root;
            for (std::size_t i = at; i < word.size(); ++i) {
                node = trie.step(node, static_cast<unsigned char>(word[i]));
                if (node == PrefixTrie::none) break;
                auto id = trie.value(node);
                if (id < 0 || (literal_ && model_.special_[id])) continue;
                best = id;
                end = i + 1;
            }
            if (best < 0) return false;
            out.add(best, static_cast<std::uint32_t>(at));
            at = end;
        }
        return true;
    }

    std::int32_t unk() const {
        if (model_.unk_ < 0)
            throw input_error("tokenizer.unk", "the model of the tokenizer",
                              "the text holds a word outside the vocabulary, and the unk token " +
                                  describe(Json(model_.options_.unk)) + " is not in the vocabulary either");
        return model_.unk_;
    }

    const WordPiece& model_;
    bool literal_;
    WordCache cache_;
};

std::unique_ptr<Model::Session> WordPiece::session(bool literal) const {
    return std::make_unique<WordPieceSession>(*this, literal);
}

std::unique_ptr<WordPiece> read_word_piece(const JsonObject& json) {
    WordPieceOptions options;
    options.unk = json.string("unk_token", options.unk);
    options.continuing_prefix = json.string("continuing_subword_prefix", options.continuing_prefix);
    options.longest_word = static_cast<std::size_t>(json.integer("max_input_chars_per_word", 0, INT32_MAX, 100));
    return std::make_unique<WordPiece>(read_vocabulary(json), std::move(options));
}

}  // namespace qlora::tokenizer
