#pragma once
// Device memory as the driver sees it, other processes included, through NVML loaded at run time.

#include <optional>

#include "core/memory/meters.h"

namespace qlora::memory {

// Empty without an NVIDIA driver or device of that index.
std::optional<Reading::Device> nvml_memory(unsigned index);

}  // namespace qlora::memory
