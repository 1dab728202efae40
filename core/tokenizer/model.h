#pragma once
// The "model" of tokenizer.json: turns one piece into tokens.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/tokenizer/piece.h"
#include "core/tokenizer/vocabulary.h"

namespace qlora::tokenizer {

// Tokens as they are appended: an id, and the byte of the piece where it starts.
struct Tokens {
    std::vector<std::int32_t> ids;
    std::vector<std::uint32_t> begin;

    void add(std::int32_t id, std::uint32_t at) {
        ids.push_back(id);
        begin.push_back(at);
    }
};

// Immutable; any thread, each with its own Session: what a model keeps from piece to piece (caches, scratch).
class Model {
  public:
    class Session {
      public:
        virtual ~Session() = default;
        // Appends the tokens of a piece of valid UTF-8, `begin` counted in the piece and never decreasing.
        virtual void encode(std::string_view piece, Tokens& out) = 0;
    };

    virtual ~Model() = default;
    // `literal`: text that spells a special token is not that token. The model outlives its sessions.
    virtual std::unique_ptr<Session> session(bool literal) const = 0;
    virtual const Vocabulary& vocabulary() const = 0;
    virtual std::string kind() const = 0;
    // The ids of special tokens, known once the added tokens are; called once, before any session.
    virtual void set_special(const std::vector<std::int32_t>& ids) = 0;
};

}  // namespace qlora::tokenizer
