#pragma once
// Where a run computes.

#include <string>
#include <vector>

namespace qlora::evaluate {

// The GPU that "auto", "cpu", "cuda" or "cuda:N" means, -1 for the CPU; auto is the first GPU there is. Throws input_error
// "device" that says why it cannot be used.
int gpu_index(const std::string& device);

// The GPUs that can be computed on, for people, or why there is none: "NVIDIA GeForce RTX 4090 (8.9), 24.0 GiB".
std::string gpus_text();

// Takes a device and the number of threads (0: all cores) and sets LibTorch up for them on every thread of the process.
// Returns the device's name for people. Throws as gpu_index.
std::string use_device(const std::string& device, int threads);

// What a model computes in on that GPU, or on the CPU (-1), for the recipe's `compute`: "fp32", or "bf16", which means products
// of numbers rounded to bf16, summed in fp32, and what is kept for backward in bf16. "auto" is bf16 where the processor, or a
// GPU of compute capability 8.0 or more, multiplies it by itself. Where it does not, "bf16" is fp32 as well, and a notice says
// so. Throws input_error "recipe.compute".
std::string compute_type(const std::string& compute, std::vector<std::string>* notices = nullptr, int gpu = -1);

}  // namespace qlora::evaluate
