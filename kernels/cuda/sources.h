#pragma once
// The kernels' sources, embedded into the binary by CMake.

#include <span>

namespace qlora::kernels::cuda {

struct Source {
    const char* name;  // "norm" of a file with kernels; of a header the path that others include it by
    const char* text;
};
std::span<const Source> sources();
std::span<const Source> headers();

}  // namespace qlora::kernels::cuda
