#pragma once
// WordPiece (Schuster and Nakajima 2012; Devlin et al., "BERT", 2019): the longest token that starts a word, then again
// for what is left, whose tokens bear a prefix. A word that does not come out even is one unk.

#include <string>

#include "core/base/json.h"
#include "core/tokenizer/model.h"
#include "core/tokenizer/prefix_trie.h"

namespace qlora::tokenizer {

struct WordPieceOptions {
    std::string unk = "[UNK]";
    std::string continuing_prefix = "##";
    std::size_t longest_word = 100;  // characters; a longer word is one unk
};

class WordPiece : public Model {
  public:
    // Encoding throws "tokenizer.unk" when it needs an unk that the vocabulary lacks.
    WordPiece(Vocabulary vocabulary, WordPieceOptions options);

    std::unique_ptr<Session> session(bool literal) const override;
    const Vocabulary& vocabulary() const override { return vocabulary_; }
    std::string kind() const override { return "WordPiece"; }
    void set_special(const std::vector<std::int32_t>& ids) override;

  private:
    friend class WordPieceSession;
    Vocabulary vocabulary_;
    WordPieceOptions options_;
    std::int32_t unk_;  // -1: missing
    PrefixTrie starting_, continuing_;
    std::vector<bool> special_;
};

// The "model" object of a tokenizer.json.
std::unique_ptr<WordPiece> read_word_piece(const JsonObject& json);

}  // namespace qlora::tokenizer
