#include "core/gpu/gpu.h"

#include <c10/core/AutogradState.h>
#include <torch/torch.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "core/base/home.h"
#include "core/memory/cuda_memory.h"

#if QLORA_CUDA
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace qlora::gpu {

namespace cuda = kernels::cuda;

namespace {

std::atomic<cuda::Runner*> stand_in = nullptr;

#if QLORA_CUDA

std::shared_ptr<const cuda::Driver> driver() {
    static const auto driver = std::make_shared<const cuda::Driver>();
    return driver;
}

// Device and runner, made when first asked for. Never destroyed: the driver may be gone before them.
cuda::Runner& gpu_runner(int device) {
    static std::mutex mutex;
    static auto& runners = *new std::map<int, std::unique_ptr<cuda::GpuRunner>>;
    const std::lock_guard lock(mutex);
    auto& runner = runners[device];
    if (!runner) {
        const auto programs = cuda::cached_programs(std::make_shared<const cuda::Nvrtc>(), cache_home() / "cuda");
        runner = std::make_unique<cuda::GpuRunner>(driver(), device, programs, [device] {
            return static_cast<void*>(c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream());
        });
    }
    return *runner;
}

#endif

}  // namespace

#if QLORA_CUDA

Available available() {
    try {
        const int devices = c10::cuda::device_count();
        if (devices > 0 && driver()->devices() > 0) return {devices, {}};
        driver();
        return {0, "LibTorch finds no NVIDIA GPU"};
    } catch (const std::runtime_error& error) {
        return {0, error.what()};
    }
}

cuda::DeviceFacts facts(int device) {
    return driver()->facts(device);
}

void use(int device) {
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(device));
    memory::use_cuda_memory(device);
}

#else

Available available() {
    return {0, "this program was built with LibTorch for CPUs"};
}
cuda::DeviceFacts facts(int) {
    return {};
}
void use(int) {}

#endif

bool on(const torch::Device& device) {
    return device.is_cuda() || (stand_in != nullptr && device.is_cpu());
}
bool takes(const torch::Tensor& x) {
    return x.scalar_type() == torch::kFloat32 && on(x.device());
}

cuda::Runner& runner(const torch::Device& device) {
    if (cuda::Runner* instead = stand_in; instead != nullptr && device.is_cpu()) return *instead;
#if QLORA_CUDA
    if (device.is_cuda()) return gpu_runner(device.index());
#endif
    throw std::runtime_error("there are no CUDA kernels for the device " + device.str());
}

StandInScope::StandInScope(cuda::Runner& instead) {
    stand_in = &instead;
}
StandInScope::~StandInScope() {
    stand_in = nullptr;
}

BackwardHere::BackwardHere() : before_(c10::AutogradState::get_tls_state().get_multithreading_enabled()) {
    c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
}
BackwardHere::~BackwardHere() {
    c10::AutogradState::get_tls_state().set_multithreading_enabled(before_);
}

}  // namespace qlora::gpu
