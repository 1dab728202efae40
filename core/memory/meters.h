#pragma once
// How much memory is in use: counted by the allocator for tensors, read from the system for the process.

#include <cstdint>
#include <optional>

#include "core/base/memory_tag.h"

namespace qlora::memory {

struct Reading {
    MemoryBytes live;                // tensor bytes now, by tag; those on a CUDA device in use too
    std::int64_t peak_bytes = 0;     // highest live total since reset_peak()
    MemoryBytes at_peak;             // live bytes by tag at that moment
    std::int64_t process_bytes = 0;  // resident set size
    std::int64_t machine_bytes = 0, machine_available_bytes = 0;  // RAM (MemTotal, MemAvailable)
    struct Device {
        std::int64_t total = 0, used = 0;  // the whole device, other processes included
    };
    std::optional<Device> device;    // the CUDA device in use, or, through NVML, the first one there; absent without one
};

// Any thread. The first call puts the counting allocator in place (so call it, or any core entry point, early).
Reading read();
void reset_peak();
// Gives memory that no tensor uses back to the system: kept for the next step, it counts for the process. Any thread.
void give_back();

// The tag of the tensors that this thread allocates while the scope lives; scopes nest.
class TagScope {
  public:
    explicit TagScope(MemoryTag tag);
    ~TagScope();
    TagScope(const TagScope&) = delete;
    TagScope& operator=(const TagScope&) = delete;

  private:
    MemoryTag previous_;
};

}  // namespace qlora::memory
