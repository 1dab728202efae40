#pragma once
// The parts of a tokenizer, in the order in which text passes through them.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/tokenizer/added_tokens.h"
#include "core/tokenizer/decoder.h"
#include "core/tokenizer/model.h"
#include "core/tokenizer/normalizer.h"
#include "core/tokenizer/post_processor.h"
#include "core/tokenizer/pre_tokenizer.h"

namespace qlora::tokenizer {

class ChatTemplate;

// Model sessions between uses: each call of encode() borrows one, so that threads share no cache and wait for nobody.
class SessionPool {
  public:
    std::unique_ptr<Model::Session> take(const Model& model, bool literal) const;
    void give_back(std::unique_ptr<Model::Session> session, bool literal) const;

  private:
    mutable std::mutex mutex_;
    mutable std::vector<std::unique_ptr<Model::Session>> idle_[2];
};

// Immutable once built. Everything but the model may be absent.
struct Pipeline {
    std::string where;  // the file, for errors
    AddedTokens added;
    std::unique_ptr<const Normalizer> normalizer;
    std::unique_ptr<const PreTokenizer> pre_tokenizer;
    std::unique_ptr<Model> model;
    PostProcessor post_processor;
    std::vector<DecodeStageFactory> decoder;

    std::vector<std::pair<std::string, std::string>> named_tokens;  // "bos_token" -> its spelling, and so on
    std::string chat_template;
    std::vector<std::pair<std::string, std::string>> files;

    SessionPool sessions;
    mutable std::once_flag compile_once;
    mutable std::unique_ptr<const ChatTemplate> compiled_template;

    Pipeline();
    ~Pipeline();

    std::optional<std::int32_t> find(std::string_view token) const;
    const std::string& token(std::int32_t id) const;  // empty for an id that nothing has
    std::int32_t vocabulary_size() const;
    std::optional<std::int32_t> named(std::string_view name) const;  // "bos_token", ...
    // Makes a spelling a special token: an entry of the added tokens, with a new id where the vocabulary lacks it.
    void add_special(AddedToken token);
    // To be called when all parts and added tokens are there.
    void seal();
};

}  // namespace qlora::tokenizer
