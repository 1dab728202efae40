#pragma once
// NVIDIA's driver, loaded at run time: which GPUs there are, their memory, and kernels that run on them. It shares each
// device's primary context with LibTorch.

#include <functional>
#include <memory>
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

    // Memory of a device, for tests and tools; the engine's is LibTorch's. Throws std::runtime_error. `release` takes null.
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

// Runs kernels on a GPU, each source being compiled when first asked for. One thread at a time.
class GpuRunner final : public Runner {
  public:
    GpuRunner(std::shared_ptr<const Driver> driver, int device, Programs programs);
    ~GpuRunner() override;
    // A cudaStream_t; null: the default one.
    void set_stream(void* stream) { stream_ = stream; }
    void run(const Launch& launch, std::span<const Argument> arguments) override;
    const float* tables() override;

  private:
    void enter();
    void* function(const Launch& launch);

    std::shared_ptr<const Driver> driver_;
    int device_;
    DeviceFacts facts_;
    Programs programs_;
    void *context_ = nullptr, *stream_ = nullptr, *tables_ = nullptr;
    struct Loaded;
    std::unique_ptr<Loaded> loaded_;
};

// Programs by NVRTC, kept in a folder.
Programs cached_programs(std::shared_ptr<const Nvrtc> nvrtc, std::filesystem::path folder);

}  // namespace qlora::kernels::cuda
