#pragma once
// The thread's scratch buffers: for tiles of an expanded weight, and for the kernels' workspaces.

#include <torch/types.h>

#include <cstdint>

namespace qlora::quant {

// Elements of a tile: 4 MiB of fp32, which stays in a second- or third-level cache while the GEMM reads it.
inline constexpr std::int64_t tile_elements = std::int64_t{1} << 20;

// fp32 [rows, cols], not set; valid until the next call on this thread, which takes the same memory. Kept from call to
// call, so that loading leaves no holes in the heap.
torch::Tensor scratch_tile(std::int64_t rows, std::int64_t cols);

// At least so many floats that begin at a multiple of 64 bytes and hold numbers, whichever; valid and kept as above.
float* scratch_workspace(std::int64_t floats);

}  // namespace qlora::quant
