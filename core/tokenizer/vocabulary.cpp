#include "core/tokenizer/vocabulary.h"

#include "core/base/error.h"

namespace qlora::tokenizer {

void Vocabulary::add(std::string token, std::int32_t id) {
    if (id < 0 || id >= limit)
        throw input_error("tokenizer.id", "the vocabulary", "expected ids from 0 to " + std::to_string(limit - 1) +
                                                                ", got " + std::to_string(id));
    if (id >= size()) {
        tokens_.resize(id + 1);
        present_.resize(id + 1);
    }
    ids_.insert_or_assign(token, id);
    tokens_[id] = std::move(token);
    present_[id] = true;
}

std::optional<std::int32_t> Vocabulary::find(std::string_view token) const {
    auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string& Vocabulary::token(std::int32_t id) const {
    static const std::string none;
    return has(id) ? tokens_[id] : none;
}

bool Vocabulary::has(std::int32_t id) const { return id >= 0 && id < size() && present_[id]; }

Vocabulary read_vocabulary(const JsonObject& model) {
    const Json& vocab = model.value("vocab");
    if (!vocab.is_object()) model.fail("vocab", "an object of tokens and their ids");
    Vocabulary vocabulary;
    for (const auto& [token, id] : vocab.items()) {
        if (!id.is_number_integer() || id < 0 || id >= Vocabulary::limit)
            throw input_error("json.field", model.where(),
                              "the id of the token " + describe(Json(token)) + ": expected an integer from 0 to " +
                                  std::to_string(Vocabulary::limit - 1) + ", got " + describe(id));
        vocabulary.add(token, id.get<std::int32_t>());
    }
    return vocabulary;
}

}  // namespace qlora::tokenizer
