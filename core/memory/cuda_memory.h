#pragma once
// The memory of the CUDA device in use, which LibTorch's own allocator hands out: counted by tag beside the CPU's, asked for,
// given back. Before a device is used, and in a build for CPUs, there is none. Any thread.

#include <optional>

#include "core/base/error.h"
#include "core/memory/meters.h"

namespace qlora::memory {

// From now on the device is the one in use. CUDA has been initialised.
void use_cuda_memory(int device);
std::optional<Reading::Device> cuda_memory();
// Blocks that no tensor uses, to the driver.
void give_back_cuda_memory();

// What is to be told where a device had no memory left for something: what was wanted, what is free, what to do. Empty for
// other errors.
std::optional<Error> out_of_device_memory(const std::exception& error);

}  // namespace qlora::memory
