#pragma once
// One line on stderr that is written over while work goes on; nothing where stderr is no terminal.

#include <chrono>
#include <string>

#include "core/base/control.h"

namespace qlora::cli {

class LiveLine {
  public:
    explicit LiveLine(bool wanted = true);
    ~LiveLine() { clear(); }
    LiveLine(const LiveLine&) = delete;
    LiveLine& operator=(const LiveLine&) = delete;

    bool shown() const { return terminal_; }
    void show(const std::string& text);  // cut to the terminal's width
    void clear();
    // For work that reports how far it is: "loading 43 %". The object must outlive the work.
    Progress progress();

  private:
    bool terminal_;
    bool written_ = false;
    std::chrono::steady_clock::time_point last_{};
};

}  // namespace qlora::cli
