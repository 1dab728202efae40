#pragma once
// Counts the live and peak bytes of CPU tensors by tag. It stands in front of the system allocator as LibTorch's CPU
// allocator; each block carries its size and tag in a header before the data.

#include "core/base/memory_tag.h"

namespace qlora::memory {

struct Counts {
    MemoryBytes live, at_peak;
    std::int64_t peak = 0;
};

void install_counting_allocator();  // once; later calls do nothing
Counts counts();
void reset_counted_peak();
// Adds to what is counted: of blocks of other allocators; less than 0 when they come back.
void count_bytes(MemoryTag tag, std::int64_t bytes);
MemoryTag current_tag();
void set_current_tag(MemoryTag tag);

}  // namespace qlora::memory
