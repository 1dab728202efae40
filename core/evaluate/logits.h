#pragma once
// A model's raw answer, written down for comparison with other programs.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/control.h"
#include "core/evaluate/chat.h"

namespace qlora::evaluate {

// What to feed: token ids as they are, or a text tokenized with its special tokens. One of the two is not
// empty.
struct LogitsInput {
    std::vector<std::int32_t> ids;
    std::string text;
    std::vector<std::int32_t> decoder_ids;  // of an encoder-decoder model; empty: its decoder start token
};

// Runs the model once and writes a safetensors file, whole or not at all, with "ids", int64 of shape [tokens], for an
// encoder-decoder "decoder_ids", and the tensor "logits", fp32: [tokens, vocabulary], [decoder tokens, vocabulary], or
// [labels] of a classifier. An encoder without a head gives "last_hidden_state" [tokens, hidden] instead. Returns that
// tensor's name. Throws Error; ids outside the vocabulary are input errors.
std::string write_logits(const LoadOptions& options, const LogitsInput& input, const std::filesystem::path& out,
                         Control& control, const Progress& progress = {});

}  // namespace qlora::evaluate
