#include "core/memory/nvml.h"

#include <dlfcn.h>

namespace qlora::memory {

namespace {

// The part of NVML's ABI that is used here (nvml.h, unchanged since version 1).
struct NvmlMemory {
    unsigned long long total, free, used;
};

class Nvml {
  public:
    Nvml() : library_(::dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL)) {
        if (library_ == nullptr) return;
        auto initialise = symbol<int (*)()>("nvmlInit_v2");
        device_ = symbol<decltype(device_)>("nvmlDeviceGetHandleByIndex_v2");
        memory_ = symbol<decltype(memory_)>("nvmlDeviceGetMemoryInfo");
        ready_ = initialise && device_ && memory_ && initialise() == 0;
    }
    ~Nvml() {
        if (auto shutdown = ready_ ? symbol<int (*)()>("nvmlShutdown") : nullptr) shutdown();
        if (library_ != nullptr) ::dlclose(library_);
    }
    Nvml(const Nvml&) = delete;
    Nvml& operator=(const Nvml&) = delete;

    std::optional<Reading::Device> memory(unsigned index) const {
        void* device = nullptr;
        NvmlMemory info{};
        if (!ready_ || device_(index, &device) != 0 || memory_(device, &info) != 0) return {};
        return Reading::Device{static_cast<std::int64_t>(info.total), static_cast<std::int64_t>(info.used)};
    }

  private:
    template <typename F>
    F symbol(const char* name) const {
        return reinterpret_cast<F>(::dlsym(library_, name));
    }

    void* library_;
    int (*device_)(unsigned, void**) = nullptr;
    int (*memory_)(void*, NvmlMemory*) = nullptr;
    bool ready_ = false;
};

}  // namespace

std::optional<Reading::Device> nvml_memory(unsigned index) {
    static const Nvml nvml;
    return nvml.memory(index);
}

}  // namespace qlora::memory
