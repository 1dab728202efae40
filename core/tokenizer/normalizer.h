#pragma once
// The "normalizer" of tokenizer.json: rewrites text before it is cut into words.

#include <memory>
#include <string>

#include "core/base/json.h"
#include "core/tokenizer/piece.h"

namespace qlora::tokenizer {

// Immutable; any thread. rewrite() puts the new text into the empty `out`, or returns false where nothing changes.
class Normalizer {
  public:
    virtual ~Normalizer() = default;
    virtual bool rewrite(const Piece& piece, Rewritten& out) const = 0;
    std::string apply(std::string_view text) const;
};

// Null for a JSON null. Throws input_error "tokenizer.unsupported" or "json.field" naming `where`.
std::unique_ptr<const Normalizer> read_normalizer(const Json& json, const std::string& where);

}  // namespace qlora::tokenizer
