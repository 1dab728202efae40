#pragma once
// The kernels' sources to machine code, by NVIDIA's run-time compiler, which needs no GPU. It is loaded when first
// wanted: nothing of CUDA is needed to build this program or to run it on a CPU.

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/sources.h"

namespace qlora::kernels::cuda {

// Any thread.
class Nvrtc {
  public:
    // `library`: its path; empty: libnvrtc.so.13 or .12 where the loader finds it. Throws std::runtime_error.
    explicit Nvrtc(const std::string& library = {});
    ~Nvrtc();

    const std::string& version() const { return version_; }  // "13.5"
    static std::span<const char* const> options();
    // The architecture to compile for, for a device of this compute capability: its own ("sm_89"), or, where this
    // compiler is older than the device, the newest before it in the form that the driver compiles on ("compute_90").
    std::string architecture(int major, int minor) const;
    // The cubin, or PTX for "compute_NN". Throws std::runtime_error with the compiler's log.
    std::string compile(const Source& source, const std::string& architecture) const;

  private:
    struct Functions;
    std::unique_ptr<Functions> functions_;
    std::string version_;
    std::vector<int> architectures_;  // ascending, 89 for 8.9
};

// Compiled kernels on disk, each under a hash of all that makes it what it is: sources, architecture, compiler,
// options. An entry that is damaged is made anew. Entries are written beside their place and renamed. A folder that
// cannot be written only costs time. Any thread, any process.
class ProgramCache {
  public:
    explicit ProgramCache(std::filesystem::path folder) : folder_(std::move(folder)) {}
    // Calls the compiler where the cache has no whole entry.
    std::string compiled(const Nvrtc& nvrtc, const Source& source, const std::string& architecture) const;
    std::filesystem::path path_of(const Nvrtc& nvrtc, const Source& source, const std::string& architecture) const;

  private:
    std::filesystem::path folder_;
};

}  // namespace qlora::kernels::cuda
