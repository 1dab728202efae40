#pragma once
// The "pre_tokenizer" of tokenizer.json: cuts normalized text into the pieces that the model sees one by one.

#include <memory>
#include <string>

#include "core/base/json.h"
#include "core/tokenizer/piece.h"

namespace qlora::tokenizer {

// Immutable; any thread. Pieces reach `sink` in the order of the text, none of them empty.
class PreTokenizer {
  public:
    virtual ~PreTokenizer() = default;
    virtual void split(const Piece& piece, const PieceSink& sink) const = 0;
};

// `byte_level` is set where the chain ends in ByteLevel: the vocabulary is then spelled in the byte alphabet and the
// model works on the bytes themselves (byte_alphabet.h), so that no text is ever respelled. Null for a JSON null.
std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const Json& json, const std::string& where, bool& byte_level);

}  // namespace qlora::tokenizer
