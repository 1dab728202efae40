#pragma once
// The training losses of a run folder, for a sparkline. Reads only what was appended to events.jsonl since the last call.

#include <QList>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/base/control.h"

namespace qlora::ui {

class LossHistory {
  public:
    explicit LossHistory(std::filesystem::path events) : events_(std::move(events)) {}

    // Takes in new whole lines; a line that is no event, or a file that is not there, is passed over (a sparkline is
    // no place to report it). Polls `control`.
    void update(Control& control);
    // At most `points` values; each pair of neighbours keeps the lowest and highest of its stretch, so spikes stay.
    QList<double> thinned(std::size_t points = 96) const;

  private:
    std::filesystem::path events_;
    std::uintmax_t read_ = 0;                                // bytes taken in
    std::vector<std::pair<std::int64_t, double>> losses_;    // step, loss; steps rise
};

}  // namespace qlora::ui
