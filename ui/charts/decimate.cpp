#include "ui/charts/decimate.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qlora::ui {

Points decimate(std::span<const double> x, std::span<const double> y, double low, double high, std::size_t limit) {
    const std::size_t size = std::min(x.size(), y.size());
    auto begin = static_cast<std::size_t>(std::lower_bound(x.begin(), x.begin() + std::ptrdiff_t(size), low) - x.begin());
    auto end = static_cast<std::size_t>(std::upper_bound(x.begin(), x.begin() + std::ptrdiff_t(size), high) - x.begin());
    if (begin > 0) --begin;
    if (end < size) ++end;
    Points points;
    const std::size_t shown = end > begin ? end - begin : 0;
    const std::size_t stretch = limit < 4 || shown <= limit ? 1 : (shown + limit / 4) / (limit / 4) + 1;
    if (stretch == 1) {
        points.x.assign(x.begin() + std::ptrdiff_t(begin), x.begin() + std::ptrdiff_t(end));
        points.y.assign(y.begin() + std::ptrdiff_t(begin), y.begin() + std::ptrdiff_t(end));
        for (double& value : points.y)
            if (!std::isfinite(value)) value = std::numeric_limits<double>::quiet_NaN();
        return points;
    }
    auto keep = [&](std::size_t i) {
        points.x.push_back(x[i]);
        points.y.push_back(std::isfinite(y[i]) ? y[i] : std::numeric_limits<double>::quiet_NaN());
    };
    for (std::size_t from = begin; from < end; from += stretch) {
        const std::size_t to = std::min(end, from + stretch);
        std::size_t lowest = to, highest = to, gap = to;
        for (std::size_t i = from; i < to; ++i) {
            if (!std::isfinite(y[i])) {
                gap = i;
                continue;
            }
            if (lowest == to || y[i] < y[lowest]) lowest = i;
            if (highest == to || y[i] > y[highest]) highest = i;
        }
        std::size_t kept[] = {lowest, highest, gap};
        std::sort(std::begin(kept), std::end(kept));
        for (std::size_t k = 0; k < 3; ++k)
            if (kept[k] != to && (k == 0 || kept[k] != kept[k - 1])) keep(kept[k]);
    }
    return points;
}

std::vector<double> smooth(std::span<const double> y, double weight) {
    std::vector<double> means(y.size(), std::numeric_limits<double>::quiet_NaN());
    double mean = 0, share = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
        if (!std::isfinite(y[i])) continue;
        mean = weight * mean + (1 - weight) * y[i];
        share = weight * share + (1 - weight);
        means[i] = mean / share;
    }
    return means;
}

}  // namespace qlora::ui
