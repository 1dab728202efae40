#pragma once
// The memory of the CUDA device in use, which LibTorch's own allocator hands out: counted by tag beside the CPU's,
// asked for, given back. Before a device is used, and in a build for CPUs, there is none. Any thread.

#include <optional>

#include "core/memory/meters.h"

namespace qlora::memory {

// From now on the device is the one in use. CUDA has been initialised.
void use_cuda_memory(int device);
std::optional<Reading::Device> cuda_memory();
// Blocks that no tensor uses, to the driver.
void give_back_cuda_memory();

}  // namespace qlora::memory
