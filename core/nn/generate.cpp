#include "core/nn/generate.h"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/nn/functions/poll.h"

namespace qlora::nn {

std::int32_t sample(const torch::Tensor& given, const Sampling& sampling, double uniform) {
    if (sampling.temperature <= 0) return static_cast<std::int32_t>(given.argmax().item<std::int64_t>());
    const torch::Tensor logits = given.cpu();
    auto [sorted, index] = (logits / sampling.temperature).sort(0, true);
    torch::Tensor probability = sorted.softmax(0);
    const std::int64_t all = probability.numel();
    std::int64_t kept = sampling.top_k > 0 ? std::min(sampling.top_k, all) : all;
    const float* p = probability.const_data_ptr<float>();
    double mass = 0;
    for (std::int64_t i = 0; i < kept; ++i) mass += p[i];
    if (sampling.top_p < 1) {
        // The smallest set whose mass reaches top_p of what top-k left; never empty.
        double sum = 0;
        std::int64_t n = 0;
        while (n < kept && sum < sampling.top_p * mass) sum += p[n++];
        kept = std::max<std::int64_t>(1, n);
        mass = sum;
    }
    double left = uniform * mass;
    std::int64_t chosen = 0;
    while (chosen + 1 < kept && left >= p[chosen]) left -= p[chosen++];
    return static_cast<std::int32_t>(index[chosen].item<std::int64_t>());
}

namespace {

// Leaves in the cache what it holds of the prompt, from the beginning and without the last token, and says how much.
std::size_t keep_common(const ModelConfig& config, KeyValueCache& cache, const std::vector<std::int32_t>& prompt) {
    std::size_t same = 0;
    if (!config.encoder_decoder() && cache.length == static_cast<std::int64_t>(cache.ids.size()))  // no virtual tokens
        while (same < cache.ids.size() && same + 1 < prompt.size() && cache.ids[same] == prompt[same]) ++same;
    // Angles that follow from a sequence's length are other ones for the shorter.
    if (std::ranges::any_of(config.ropes, [&](const RopeConfig& rope) { return rope.changes(static_cast<std::int64_t>(same), cache.length); })) same = 0;
    cache.ids.resize(same);
    cache.length = static_cast<std::int64_t>(same);
    return same;
}

}  // namespace

Generation generate(const Model& model, const std::vector<std::int32_t>& prompt, std::int64_t max_tokens,
                    const std::vector<std::int32_t>& stop_ids, const Sampling& sampling, Control& control,
                    const std::function<bool(std::int32_t)>& emit, KeyValueCache* given) {
    using Clock = std::chrono::steady_clock;
    auto seconds_since = [](Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); };
    if (prompt.empty()) throw input_error("generate.prompt", "prompt", "expected at least one token, got an empty prompt");
    if (!model.config.causal || model.config.head.kind != HeadConfig::Kind::language_model)
        throw input_error("generate.model", "model", "this model does not write text: it " +
                                                         std::string(model.config.head.kind == HeadConfig::Kind::classifier ? "classifies" : "is an encoder alone"),
                          "Choose a GPT, LLaMA or T5 kind of model.");
    // An encoder-decoder reads the prompt and begins an answer of its own.
    const bool reads = model.config.encoder_decoder();
    const auto room = model.config.token_limit() - (reads ? 1 : static_cast<std::int64_t>(prompt.size()));
    if (room < 1)
        throw input_error("generate.context", "prompt",
                          "the prompt's " + std::to_string(prompt.size()) + " tokens leave no room in the model's context of " +
                              std::to_string(model.config.context),
                          "Shorten the prompt.");
    Generation result;
    result.stop = "length";
    RandomStream random(sampling.seed, "sample");
    PollScope poll([&] { control.check(); });
    KeyValueCache own;
    KeyValueCache& cache = given != nullptr ? *given : own;
    const std::size_t known = keep_common(model.config, cache, prompt);
    cache.reserve(model.config, std::min(model.config.token_limit(), static_cast<std::int64_t>(prompt.size()) + std::min<std::int64_t>(max_tokens, 256)), model.device());
    auto start = Clock::now();
    if (reads) model.read_source(prompt, cache);
    torch::Tensor logits = model.next_logits(reads ? std::vector{model.config.decoder_start} : std::vector(prompt.begin() + static_cast<std::ptrdiff_t>(known), prompt.end()), cache);
    result.prompt_seconds = seconds_since(start);
    start = Clock::now();
    for (std::int64_t i = 0; i < max_tokens; ++i) {
        const std::int32_t id = sample(logits, sampling, random.uniform());
        if (std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end()) {
            result.stop = "eos";
            break;
        }
        result.ids.push_back(id);
        if (emit && !emit(id)) {
            result.stop = "stopped";
            break;
        }
        if (i + 1 == max_tokens) break;
        if (i + 1 == room) {
            result.stop = "context";
            break;
        }
        logits = model.next_logits({id}, cache);
    }
    result.seconds = seconds_since(start);
    return result;
}

}  // namespace qlora::nn
