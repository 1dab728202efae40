#pragma once
// The same work for many indices, on several threads.

#include <cstddef>
#include <functional>

#include "core/base/control.h"

namespace qlora::data::detail {

// Calls work(i) for every i below `count` from `threads` threads (0: all cores); returns when all are done.
// When work throws, the exception of the lowest such index is thrown here, whatever the threads. The calling
// thread reports progress and polls `control` every 50 ms; after a stop no further index is begun.
void parallel_for(std::size_t count, int threads, const Control* control, const Progress& progress,
                  const char* what, const std::function<void(std::size_t)>& work);

}  // namespace qlora::data::detail
