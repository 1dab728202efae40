#pragma once
// The simplest model: a piece is one token, or unk.

#include <optional>
#include <string>

#include "core/base/json.h"
#include "core/tokenizer/model.h"

namespace qlora::tokenizer {

class WordLevel : public Model {
  public:
    // Encoding throws "tokenizer.unk" when it needs an unk that the vocabulary lacks.
    WordLevel(Vocabulary vocabulary, std::string unk);

    std::unique_ptr<Session> session(bool literal) const override;
    const Vocabulary& vocabulary() const override { return vocabulary_; }
    std::string kind() const override { return "words"; }
    void set_special(const std::vector<std::int32_t>& ids) override;

  private:
    friend class WordLevelSession;
    Vocabulary vocabulary_;
    std::string unk_spelling_;
    std::optional<std::int32_t> unk_;
    std::vector<bool> special_;
};

// The "model" object of a tokenizer.json.
std::unique_ptr<WordLevel> read_word_level(const JsonObject& json);

}  // namespace qlora::tokenizer
