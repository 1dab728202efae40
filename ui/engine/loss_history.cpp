#include "ui/engine/loss_history.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>

#include "core/base/error.h"
#include "core/events/events.h"

namespace qlora::ui {

void LossHistory::update(Control& control) {
    std::error_code none;
    const auto size = std::filesystem::file_size(events_, none);
    if (none || size == read_) return;
    if (size < read_) {
        read_ = 0;
        losses_.clear();
    }
    std::ifstream file(events_, std::ios::binary);
    file.seekg(std::streamoff(read_));
    std::string line;
    for (std::size_t count = 0; std::getline(file, line) && !file.eof(); ++count) {
        if (count % 256 == 0) control.check();
        read_ += line.size() + 1;
        if (line.find("\"step\"") == std::string::npos) continue;
        try {
            const auto event = train::from_json(parse_json(line, events_.string()));
            const auto* step = std::get_if<train::StepDone>(&event);
            if (!step) continue;
            // A resumed run tells again the steps after its checkpoint.
            while (!losses_.empty() && losses_.back().first >= step->step) losses_.pop_back();
            losses_.emplace_back(step->step, step->loss);
        } catch (const Error&) {
            continue;
        }
    }
}

QList<double> LossHistory::thinned(std::size_t points) const {
    QList<double> values;
    if (losses_.size() <= points) {
        for (const auto& [step, loss] : losses_) values << loss;
        return values;
    }
    const std::size_t stretches = std::max<std::size_t>(points / 2, 1);
    for (std::size_t i = 0; i < stretches; ++i) {
        const auto begin = losses_.begin() + std::ptrdiff_t(losses_.size() * i / stretches);
        const auto end = losses_.begin() + std::ptrdiff_t(losses_.size() * (i + 1) / stretches);
        auto low = end, high = end;
        for (auto at = begin; at != end; ++at) {
            if (!std::isfinite(at->second)) continue;
            if (low == end || at->second < low->second) low = at;
            if (high == end || at->second > high->second) high = at;
        }
        if (low == end) {
            values << std::numeric_limits<double>::quiet_NaN();
            continue;
        }
        values << std::min(low, high)->second << std::max(low, high)->second;
    }
    return values;
}

}  // namespace qlora::ui
