#pragma once
// Where CUDA kernels run: a GPU (driver.h), or a stand-in for one that tests bring.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qlora::kernels::cuda {

struct Launch {
    const char* source;  // the file the kernel is in, without its ending
    std::string kernel;
    unsigned blocks = 1, threads = 1;
};
struct Argument {
    const void* value;
    std::size_t bytes;
};

// The levels of nf4, fp4, int4 and int3 and both dynamic maps, laid out as sources/arguments.h says.
std::vector<float> table_numbers();

// Pointers that kernels get are the device's.
class Runner {
  public:
    virtual ~Runner() = default;
    // Begins the kernel behind what was begun before; may return before it is done. Throws std::runtime_error.
    virtual void run(const Launch& launch, std::span<const Argument> arguments) = 0;
    // table_numbers() in device memory.
    virtual const float* tables() = 0;
};

}  // namespace qlora::kernels::cuda
