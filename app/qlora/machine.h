#pragma once
// What this computer is, from the system's own files.

#include <cstdint>
#include <string>
#include <vector>

namespace qlora::cli {

struct Machine {
    std::string processor;              // "AMD Ryzen 7 5800X"
    std::vector<std::string> features;  // those that make arithmetic fast: "avx2", "avx512_bf16", ...
    int cores = 0;                      // that this program may use
    std::int64_t memory_bytes = 0, available_bytes = 0;  // a container's limit counts
    std::string system;                                  // "Linux 6.1.0 x86_64, Debian GNU/Linux 12"
};

Machine this_machine();

}  // namespace qlora::cli
