#pragma once
// Where a run computes.

#include <string>
#include <vector>

namespace qlora::evaluate {

// Takes "auto", "cpu", "cuda" or "cuda:N" and the number of threads (0: all cores) and sets LibTorch up for them on every
// thread of the process. Returns the device's name for people. Throws input_error "device".
std::string use_device(const std::string& device, int threads);

// What a model computes in for the recipe's `compute`: "fp32", or "bf16", which on a CPU means products of numbers rounded to
// bf16, summed in fp32, and what is kept for backward in bf16. "auto" is bf16 where the processor multiplies it by itself.
// Where it does not, "bf16" is fp32 as well, and a notice says so. Throws input_error "recipe.compute".
std::string compute_type(const std::string& compute, std::vector<std::string>* notices = nullptr);

}  // namespace qlora::evaluate
