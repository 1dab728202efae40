#pragma once
// The "decoder" of tokenizer.json: joins tokens' spellings into text, as a chain of stages through which the tokens
// stream. Whole texts and streaming generation run through the same code.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.h"

namespace qlora::tokenizer {

// Receives the spelling of a token in one or more fragments of valid UTF-8, the last with `ends`.
using FragmentSink = std::function<void(std::string_view text, bool ends)>;

// One stage's state while one text is decoded.
class DecodeStage {
  public:
    virtual ~DecodeStage() = default;
    virtual void push(std::string_view text, bool ends, const FragmentSink& out) = 0;
    virtual void finish(const FragmentSink&) {}  // no more tokens
};

using DecodeStageFactory = std::function<std::unique_ptr<DecodeStage>()>;

// The stages of a "decoder"; for a null one, tokens are joined by spaces. Throws "tokenizer.unsupported".
std::vector<DecodeStageFactory> read_decoder(const Json& json, const std::string& where);

// The spelling of a sentencepiece byte token "<0xE2>", or -1.
int byte_token(std::string_view spelling);

// One text being decoded.
class DecodeStream {
  public:
    explicit DecodeStream(const std::vector<DecodeStageFactory>& stages);
    // The text that is certain after one more token: whole UTF-8 characters.
    std::string push(std::string_view spelling);
    std::string finish();

  private:
    void run(std::size_t stage, std::string_view text, bool ends, std::string& out);

    std::vector<std::unique_ptr<DecodeStage>> stages_;
};

}  // namespace qlora::tokenizer
