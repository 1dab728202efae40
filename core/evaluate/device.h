#pragma once
// Where a run computes.

#include <string>

namespace qlora::evaluate {

// Takes "auto", "cpu", "cuda" or "cuda:N" and the number of threads (0: all cores) and sets LibTorch up for them on every
// thread of the process. Returns the device's name for people. Throws input_error "device".
std::string use_device(const std::string& device, int threads);

// The type activations are computed in, "fp32" or "bf16", for the recipe's `compute`.
std::string compute_type(const std::string& compute);

}  // namespace qlora::evaluate
