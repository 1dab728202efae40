#include "core/tokenizer/word_level.h"

#include "core/base/error.h"

namespace qlora::tokenizer {

WordLevel::WordLevel(Vocabulary vocabulary, std::string unk)
    : vocabulary_(std::move(vocabulary)), unk_spelling_(std::move(unk)), unk_(vocabulary_.find(unk_spelling_)) {}

void WordLevel::set_special(const std::vector<std::int32_t>& ids) {
    special_.assign(vocabulary_.size(), false);
    for (auto id : ids)
        if (id >= 0 && id < vocabulary_.size() && id != unk_) special_[id] = true;
}

class WordLevelSession : public Model::Session {
  public:
    WordLevelSession(const WordLevel& model, bool literal) : model_(model), literal_(literal && !model.special_.empty()) {}

    void encode(std::string_view word, Tokens& out) override {
        auto id = model_.vocabulary_.find(word);
        if (id && literal_ && model_.special_[*id]) id.reset();
        if (!id) id = model_.unk_;
        if (!id)
            throw input_error("tokenizer.unk", "the model of the tokenizer",
                              "the text holds a word outside the vocabulary, and the unk token " +
                                  describe(Json(model_.unk_spelling_)) + " is not in the vocabulary either");
        out.add(*id, 0);
    }

  private:
    const WordLevel& model_;
    bool literal_;
};

std::unique_ptr<Model::Session> WordLevel::session(bool literal) const {
    return std::make_unique<WordLevelSession>(*this, literal);
}

std::unique_ptr<WordLevel> read_word_level(const JsonObject& json) {
    return std::make_unique<WordLevel>(read_vocabulary(json), json.string("unk_token", "<unk>"));
}

}  // namespace qlora::tokenizer
