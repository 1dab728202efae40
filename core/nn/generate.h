#pragma once
// Decoding one token at a time from a Model with a key/value cache.

#include <functional>
#include <vector>

#include "core/base/control.h"
#include "core/nn/model.h"

namespace qlora::nn {

struct Sampling {
    double temperature = 0;  // 0: the most likely token
    std::int64_t top_k = 0;  // 0: all
    double top_p = 1;
    std::uint64_t seed = 0;
};

struct Generation {
    std::vector<std::int32_t> ids;  // without the stop token
    std::string stop;               // "eos", "length", "context", "stopped" (by emit)
    double prompt_seconds = 0, seconds = 0;
};

// Continues `prompt` (not empty; in an encoder-decoder: answers it) by at most max_tokens tokens until one of `stop_ids`. `emit` receives each token and
// returns false to end. The same seed gives the same tokens. Polls `control` each token; throws stopped().
// `cache`, where given, may hold another sequence of this model: what it has in common with the prompt from the beginning is not
// computed again (not in an encoder-decoder). It holds prompt and answer afterwards.
Generation generate(const Model& model, const std::vector<std::int32_t>& prompt, std::int64_t max_tokens,
                    const std::vector<std::int32_t>& stop_ids, const Sampling& sampling, Control& control,
                    const std::function<bool(std::int32_t)>& emit = {}, KeyValueCache* cache = nullptr);

// The next token from fp32 logits [vocabulary]: temperature, then top-k, then top-p, as transformers orders them.
std::int32_t sample(const torch::Tensor& logits, const Sampling& sampling, double uniform);

}  // namespace qlora::nn
