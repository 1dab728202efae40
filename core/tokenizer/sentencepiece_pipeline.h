#pragma once
// A tokenizer from a sentencepiece model file (Kudo and Richardson, "SentencePiece", 2018), run by the library.

#include <memory>
#include <string>
#include <string_view>

#include "core/base/json.h"
#include "core/tokenizer/pipeline.h"

namespace qlora::tokenizer {

// The pipeline of a model file, not yet sealed. `config` is the tokenizer_config.json beside it (an empty object for
// none): it says whether bos and eos are added; without its word bos is and eos is not, as for Llama, and the other
// way round for T5 and its kin.
std::unique_ptr<Pipeline> read_sentencepiece(const std::string& file, const std::string& where, Json& config);

}  // namespace qlora::tokenizer
