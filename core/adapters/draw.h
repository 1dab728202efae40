#pragma once
// Random beginnings, each from a stream of its own.

#include <torch/types.h>

#include <cstdint>
#include <string>

namespace qlora::adapters {

// kaiming_uniform_(a = sqrt(5)) of a matrix [out, in]: U(-1/sqrt(in), 1/sqrt(in)), as PEFT begins LoRA's A.
void draw_kaiming(torch::Tensor matrix, std::uint64_t seed, const std::string& stream);
// N(0, deviation^2).
void draw_normal(torch::Tensor tensor, double deviation, std::uint64_t seed, const std::string& stream);

}  // namespace qlora::adapters
