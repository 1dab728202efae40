#pragma once
// The "post_processor" of tokenizer.json: which special tokens stand before and behind a text.

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace qlora::tokenizer {

// For one text, every kind of post-processor comes down to this.
struct PostProcessor {
    std::vector<std::int32_t> before, after;
};

// Null gives nothing before or after. Throws "tokenizer.unsupported" for a kind, or a template, that is not covered.
PostProcessor read_post_processor(const Json& json, const std::string& where);

}  // namespace qlora::tokenizer
