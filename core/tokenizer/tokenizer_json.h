#pragma once
// tokenizer.json, the format of Hugging Face's tokenizers library, version 1.0.

#include <memory>
#include <string>

#include "core/base/json.h"
#include "core/tokenizer/pipeline.h"

namespace qlora::tokenizer {

// The pipeline that the file describes, not yet sealed. `where` names the file in errors. "truncation" and "padding"
// are left to the caller of a tokenizer, as transformers does.
std::unique_ptr<Pipeline> read_tokenizer_json(const Json& json, const std::string& where);

}  // namespace qlora::tokenizer
