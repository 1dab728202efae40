#pragma once
// A GPU's memory that ran out, explained.

#include <exception>
#include <optional>

#include "core/base/error.h"

namespace qlora {

// What is to be told where LibTorch or CUDA had no memory left on a device: what was wanted, what is free, what to do.
// Empty for other errors. Known by its text, so that edges without LibTorch's headers may ask.
std::optional<Error> out_of_device_memory(const std::exception& error);

}  // namespace qlora
