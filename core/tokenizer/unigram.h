#pragma once
// The unigram language model (Kudo, "Subword Regularization", 2018): of all ways to put a piece together from tokens,
// the one with the highest sum of scores, found by Viterbi's algorithm as the tokenizers library runs it.

#include <array>
#include <optional>
#include <string>

#include "core/base/json.h"
#include "core/tokenizer/model.h"
#include "core/tokenizer/prefix_trie.h"

namespace qlora::tokenizer {

class Unigram : public Model {
  public:
    // One score a token, in the order of the ids. A character that no token covers is unk (-1: none, and encoding
    // throws "tokenizer.unk" when it comes), at 10 below the lowest score; a run of them is one unk, or with
    // `byte_fallback` its bytes <0x00>..<0xFF> where the vocabulary has them.
    Unigram(Vocabulary vocabulary, std::vector<double> scores, std::int32_t unk, bool byte_fallback);

    std::unique_ptr<Session> session(bool literal) const override;
    const Vocabulary& vocabulary() const override { return vocabulary_; }
    std::string kind() const override { return byte_fallback_ ? "unigram with byte fallback" : "unigram"; }
    void set_special(const std::vector<std::int32_t>& ids) override;
    const std::vector<double>& scores() const { return scores_; }

  private:
    friend class UnigramSession;
    Vocabulary vocabulary_;
    std::vector<double> scores_;
    std::int32_t unk_;
    bool byte_fallback_;
    double unk_score_;
    PrefixTrie trie_;
    std::array<std::int32_t, 256> fallbacks_;  // ids of <0x00>..<0xFF>, or -1
    std::vector<bool> special_;
};

// The "model" object of a tokenizer.json.
std::unique_ptr<Unigram> read_unigram(const JsonObject& json);

}  // namespace qlora::tokenizer
