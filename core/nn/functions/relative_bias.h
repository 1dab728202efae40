#pragma once
// T5's relative positions (Raffel et al. 2020): what is added to a score depends on the distance of key and query, in
// buckets that widen with it.

#include <torch/types.h>

#include <map>

namespace qlora::nn {

// Remembers what it has computed. One thread at a time.
class RelativeBias {
  public:
    // table: fp32 [buckets, heads]. Causal: half as many distances, for keys before the query alone; later ones are hidden.
    // Distances from max_distance on share the last bucket.
    RelativeBias(torch::Tensor table, bool causal, std::int64_t max_distance);
    // Whether the table is a leaf that wants a gradient.
    bool trained() const { return table_.requires_grad(); }
    // [1, heads, asked, length] in `type`: what is added to the scores of the last `asked` of `length` tokens; minus
    // infinity where one does not see.
    torch::Tensor at(std::int64_t asked, std::int64_t length, torch::ScalarType type);

  private:
    std::int64_t bucket(std::int64_t distance) const;

    torch::Tensor table_;
    bool causal_;
    std::int64_t max_distance_;
    std::map<std::tuple<std::int64_t, std::int64_t, torch::ScalarType>, torch::Tensor> known_;
};

}  // namespace qlora::nn
