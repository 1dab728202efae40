#pragma once
// Fewer points for the same picture: each stretch of the visible range keeps its lowest and highest value, so that
// spikes stay. Gaps (values that are no finite numbers) stay gaps.

#include <span>
#include <vector>

namespace qlora::ui {

struct Points {
    std::vector<double> x, y;
};

// x rises. Keeps the points inside [low, high] and one neighbour on each side; at most about `limit` points.
Points decimate(std::span<const double> x, std::span<const double> y, double low, double high, std::size_t limit);

// Exponential mean with `weight` on the past, corrected for its start; gaps neither enter it nor break it.
std::vector<double> smooth(std::span<const double> y, double weight);

}  // namespace qlora::ui
