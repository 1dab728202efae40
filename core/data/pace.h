#pragma once
// Long work's two duties in one call: stop when asked to, and say how far it is.

#include <chrono>

#include "core/base/control.h"

namespace qlora::data::detail {

// For one thread. Call at() every few milliseconds of work; progress goes out at most 20 times a second.
class Pace {
  public:
    Pace(const Control* control, const Progress& progress, const char* what, double total)
        : control_(control), progress_(progress), what_(what), total_(total) {}

    void at(double done) {
        if (control_ != nullptr) control_->check();
        if (!progress_) return;
        auto now = std::chrono::steady_clock::now();
        if (now - reported_ < std::chrono::milliseconds(50)) return;
        reported_ = now;
        progress_(what_, done, total_);
    }
    void finish() {
        if (progress_) progress_(what_, total_, total_);
    }

  private:
    const Control* control_;
    const Progress& progress_;
    const char* what_;
    double total_;
    std::chrono::steady_clock::time_point reported_{};
};

}  // namespace qlora::data::detail
