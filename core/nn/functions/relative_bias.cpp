#include "core/nn/functions/relative_bias.h"

#include <torch/torch.h>

#include <cmath>

namespace qlora::nn {

using torch::Tensor;

RelativeBias::RelativeBias(Tensor table, bool causal, std::int64_t max_distance)
    : table_(std::move(table)), causal_(causal), max_distance_(max_distance) {}

// `distance`: key position less query position.
std::int64_t RelativeBias::bucket(std::int64_t distance) const {
    const std::int64_t all = causal_ ? table_.size(0) : table_.size(0) / 2;
    const std::int64_t side = !causal_ && distance > 0 ? all : 0;
    const std::int64_t apart = causal_ ? std::max<std::int64_t>(-distance, 0) : std::abs(distance);
    const std::int64_t exact = all / 2;
    if (apart < exact) return side + apart;
    // In fp32, as the reference computes it: a bucket's edge falls where its rounding puts it.
    const float ratio = std::log(static_cast<float>(apart) / static_cast<float>(exact)) /
                        static_cast<float>(std::log(static_cast<double>(max_distance_) / static_cast<double>(exact)));
    const auto wide = exact + static_cast<std::int64_t>(ratio * static_cast<float>(all - exact));
    return side + std::min(wide, all - 1);
}

Tensor RelativeBias::at(std::int64_t asked, std::int64_t length, torch::ScalarType type) {
    const bool keep = !(trained() && torch::GradMode::is_enabled());  // a gradient goes its way once
    if (const auto known = known_.find({asked, length, type}); keep && known != known_.end()) return known->second;
    // One row a distance, from the farthest key before the last query to the farthest behind the first one.
    const std::int64_t first_query = length - asked, farthest = length - 1;
    Tensor of_distance = torch::empty({farthest + length - first_query}, torch::kInt64);
    auto* buckets = of_distance.data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < of_distance.numel(); ++i) buckets[i] = bucket(i - farthest);
    Tensor values = table_.index_select(0, of_distance.to(table_.device())).t().contiguous();  // [heads, distances]
    if (causal_) values = at::cat({values.narrow(1, 0, length), torch::full({values.size(0), values.size(1) - length}, -INFINITY, values.options())}, 1);
    // The row of query i starts at distance -(first_query + i): the windows of the row of distances, last one first.
    Tensor bias = values.unfold(1, length, 1).flip({1}).unsqueeze(0).to(type);
    if (keep) known_[{asked, length, type}] = bias;
    return bias;
}

}  // namespace qlora::nn
