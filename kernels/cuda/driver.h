#pragma once
// NVIDIA's driver, loaded at run time: which GPUs there are, their memory, and kernels that run on them. It shares each
// device's primary context with LibTorch.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "kernels/cuda/nvrtc.h"
#include "kernels/cuda/runner.h"

namespace qlora::kernels::cuda {

struct DeviceFacts {
    std::string name;
    int major = 0, minor = 0;  // compute capability
    std::int64_t bytes = 0;    // its memory
};

// Any thread.
class Driver {
  public:
    // Throws std::runtime_error that says why no GPU can be used: no driver, or none that starts.
    Driver();
    ~Driver();
    int devices() const;
    DeviceFacts facts(int device) const;

    // Memory of a device, for tests and tools; the engine's is LibTorch's. Throws std::runtime_error. `release` takes
    // null.
    void* allocate(int device, std::int64_t bytes) const;
    void release(void* memory) const;
    void upload(void* to, const void* from, std::int64_t bytes) const;
    void download(void* to, const void* from, std::int64_t bytes) const;  // behind all work begun before

    struct Functions;

  private:
    friend class GpuRunner;
    std::unique_ptr<Functions> functions_;
};

// Machine code of a source for an architecture such as "sm_89" of the compute capability given.
using Programs = std::function<std::string(const Source& source, int major, int minor)>;

// Runs kernels on a GPU, each source being compiled when first asked for. Any thread.
class GpuRunner final : public Runner {
  public:
    // `stream` gives the cudaStream_t that kernels are begun on; null: the default one.
    GpuRunner(std::shared_ptr<const Driver> driver, int device, Programs programs, std::function<void*()> stream = {});
    ~GpuRunner() override;
    void run(const Launch& launch, std::span<const Argument> arguments) override;
    const float* tables() override;

  private:
    void enter() const;
    void* function(const Launch& launch);

    std::shared_ptr<const Driver> driver_;
    int device_;
    DeviceFacts facts_;
    Programs programs_;
    std::function<void*()> stream_;
    void* context_ = nullptr;
    std::mutex mutex_;  // over what follows
    void* tables_ = nullptr;
    std::map<std::string, void*> modules_, functions_;  // by source, and by kernel
};

// Programs by NVRTC, kept in a folder.
Programs cached_programs(std::shared_ptr<const Nvrtc> nvrtc, std::filesystem::path folder);

}  // namespace qlora::kernels::cuda
