#pragma once
// Ctrl-C and SIGTERM, turned into requests of a Control.

#include <thread>

#include "core/base/control.h"

namespace qlora::cli {

// While it lives the first signal asks to stop and save, the second to stop, and a third ends the program at
// once. The handler itself only writes a byte into a pipe; a thread of this object's reads it. One at a time
// in a program.
class SignalWatch {
  public:
    explicit SignalWatch(Control& control);
    ~SignalWatch();
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

  private:
    void watch(Control& control) const;

    int read_end_ = -1;
    std::thread watcher_;
};

}  // namespace qlora::cli
