#pragma once
// Dropout whose masks follow from a key, so that none is kept: a pass drawn again, backward or in a recomputed or resumed step,
// sees what the first one saw.

#include <torch/types.h>

#include <cstdint>

#include "kernels/dropout.h"

namespace qlora::nn {

// Which masks a forward draws: none, or those of (seed, step); and which block asks, which the base's own streams follow.
struct DropoutKey {
    bool training = false;
    std::uint64_t seed = 0, step = 0;
    std::uint64_t block = 0;
};

// x with each element zeroed with probability p, the rest scaled by 1 / (1 - p). `stream` tells the layers apart. No gradient:
// that is the same of the gradient, with the same key.
torch::Tensor apply_dropout(const torch::Tensor& x, double p, const DropoutKey& key, std::uint64_t stream);
// The same with its gradient; x itself where the key is not training or p is 0.
torch::Tensor dropped(const torch::Tensor& x, double p, const DropoutKey& key, std::uint64_t stream);

// Of attention's probabilities: how many are dropped, and the key of one head over one segment.
struct AttentionDropout {
    double p = 0;
    DropoutKey key{};
    std::uint64_t stream = 0;
    bool active() const { return key.training && p > 0; }
    kernels::ScoreDropout of_head(std::int64_t segment, std::int64_t head) const;
};

}  // namespace qlora::nn
