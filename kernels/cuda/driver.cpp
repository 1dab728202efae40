#include "kernels/cuda/driver.h"

#include <algorithm>
#include <vector>

#include "kernels/cuda/library.h"

namespace qlora::kernels::cuda {

using DeviceAddress = unsigned long long;

// The part of the driver's ABI that is used here (cuda.h, since CUDA 11). 0 is success.
struct Driver::Functions {
    Library library{"libcuda.so.1"};
    int (*init)(unsigned);
    int (*error_name)(int, const char**);
    int (*error_string)(int, const char**);
    int (*count)(int*);
    int (*get)(int*, int);
    int (*name)(char*, int, int);
    int (*attribute)(int*, int, int);
    int (*total)(std::size_t*, int);
    int (*retain)(void**, int);
    int (*drop)(int);
    int (*current)(void**);
    int (*make_current)(void*);
    int (*allocate)(DeviceAddress*, std::size_t);
    int (*release)(DeviceAddress);
    int (*upload)(DeviceAddress, const void*, std::size_t);
    int (*download)(void*, DeviceAddress, std::size_t);
    int (*load)(void**, const void*);
    int (*unload)(void*);
    int (*function)(void**, void*, const char*);
    int (*launch)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**);

    Functions() {
        library.bind(init, "cuInit");
        library.bind(error_name, "cuGetErrorName");
        library.bind(error_string, "cuGetErrorString");
        library.bind(count, "cuDeviceGetCount");
        library.bind(get, "cuDeviceGet");
        library.bind(name, "cuDeviceGetName");
        library.bind(attribute, "cuDeviceGetAttribute");
        library.bind(total, "cuDeviceTotalMem_v2");
        library.bind(retain, "cuDevicePrimaryCtxRetain");
        library.bind(drop, "cuDevicePrimaryCtxRelease_v2");
        library.bind(current, "cuCtxGetCurrent");
        library.bind(make_current, "cuCtxSetCurrent");
        library.bind(allocate, "cuMemAlloc_v2");
        library.bind(release, "cuMemFree_v2");
        library.bind(upload, "cuMemcpyHtoD_v2");
        library.bind(download, "cuMemcpyDtoH_v2");
        library.bind(load, "cuModuleLoadData");
        library.bind(unload, "cuModuleUnload");
        library.bind(function, "cuModuleGetFunction");
        library.bind(launch, "cuLaunchKernel");
    }
    void check(int result, const std::string& what) const {
        if (result == 0) return;
        const char *name = nullptr, *text = nullptr;
        error_name(result, &name);
        error_string(result, &text);
        throw std::runtime_error(what + ": " + (text != nullptr ? text : "an unknown error") + " (" +
                                 (name != nullptr ? name : std::to_string(result)) + ")");
    }
    int handle(int device) const {
        int handle = 0;
        check(get(&handle, device), "CUDA device " + std::to_string(device));
        return handle;
    }
};

Driver::Driver() {
    try {
        functions_ = std::make_unique<Functions>();
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(std::string("there is no NVIDIA driver here: ") + error.what());
    }
    functions_->check(functions_->init(0), "the NVIDIA driver does not start");
}
Driver::~Driver() = default;

int Driver::devices() const {
    int count = 0;
    functions_->check(functions_->count(&count), "counting CUDA devices");
    return count;
}

DeviceFacts Driver::facts(int device) const {
    constexpr int capability_major = 75, capability_minor = 76;
    const Functions& f = *functions_;
    const int handle = f.handle(device);
    DeviceFacts facts;
    char name[256] = {};
    std::size_t bytes = 0;
    f.check(f.name(name, sizeof(name) - 1, handle), "a CUDA device's name");
    f.check(f.attribute(&facts.major, capability_major, handle), "a CUDA device's compute capability");
    f.check(f.attribute(&facts.minor, capability_minor, handle), "a CUDA device's compute capability");
    f.check(f.total(&bytes, handle), "a CUDA device's memory");
    facts.name = name;
    facts.bytes = static_cast<std::int64_t>(bytes);
    return facts;
}

void* Driver::allocate(int device, std::int64_t bytes) const {
    const Functions& f = *functions_;
    void* context = nullptr;
    f.check(f.retain(&context, f.handle(device)), "a CUDA context");
    f.check(f.make_current(context), "a CUDA context");
    DeviceAddress memory = 0;
    f.check(f.allocate(&memory, static_cast<std::size_t>(bytes)), std::to_string(bytes) + " bytes of device memory");
    return reinterpret_cast<void*>(memory);
}
void Driver::release(void* memory) const {
    if (memory != nullptr) functions_->release(reinterpret_cast<DeviceAddress>(memory));
}
void Driver::upload(void* to, const void* from, std::int64_t bytes) const {
    functions_->check(functions_->upload(reinterpret_cast<DeviceAddress>(to), from, static_cast<std::size_t>(bytes)),
                      "copying to the device");
}
void Driver::download(void* to, const void* from, std::int64_t bytes) const {
    functions_->check(functions_->download(to, reinterpret_cast<DeviceAddress>(from), static_cast<std::size_t>(bytes)),
                      "copying from the device");
}

GpuRunner::GpuRunner(std::shared_ptr<const Driver> driver, int device, Programs programs, std::function<void*()> stream)
    : driver_(std::move(driver)),
      device_(device),
      facts_(driver_->facts(device)),
      programs_(std::move(programs)),
      stream_(std::move(stream)) {
    const auto& f = *driver_->functions_;
    f.check(f.retain(&context_, f.handle(device_)), "a CUDA context");
}

GpuRunner::~GpuRunner() {
    const auto& f = *driver_->functions_;
    if (f.make_current(context_) == 0) {  // at the process's end the driver may be gone
        for (const auto& [name, module] : modules_) f.unload(module);
        driver_->release(tables_);
    }
    int handle = 0;
    if (f.get(&handle, device_) == 0) f.drop(handle);
}

// The calling thread's context becomes the device's.
void GpuRunner::enter() const {
    const auto& f = *driver_->functions_;
    void* current = nullptr;
    f.check(f.current(&current), "a CUDA context");
    if (current != context_) f.check(f.make_current(context_), "a CUDA context");
}

void* GpuRunner::function(const Launch& launch) {
    const std::lock_guard lock(mutex_);
    void*& function = functions_[launch.kernel];
    if (function != nullptr) return function;
    const auto& f = *driver_->functions_;
    void*& module = modules_[launch.source];
    if (module == nullptr) {
        const auto source =
            std::ranges::find_if(sources(), [&](const Source& s) { return std::string_view(s.name) == launch.source; });
        if (source == sources().end())
            throw std::runtime_error(std::string("there is no CUDA source ") + launch.source);
        const std::string program = programs_(*source, facts_.major, facts_.minor);
        f.check(f.load(&module, program.c_str()), std::string("loading the CUDA program ") + launch.source);
    }
    f.check(f.function(&function, module, launch.kernel.c_str()), "the CUDA kernel " + launch.kernel);
    return function;
}

void GpuRunner::run(const Launch& launch, std::span<const Argument> arguments) {
    enter();
    std::vector<void*> pointers;
    for (const Argument& argument : arguments) pointers.push_back(const_cast<void*>(argument.value));
    const auto& f = *driver_->functions_;
    f.check(f.launch(function(launch), launch.blocks, 1, 1, launch.threads, 1, 1, 0, stream_ ? stream_() : nullptr,
                     pointers.data(), nullptr),
            "the CUDA kernel " + launch.kernel);
}

const float* GpuRunner::tables() {
    const std::lock_guard lock(mutex_);
    if (tables_ == nullptr) {
        enter();
        const std::vector<float> all = table_numbers();
        const auto bytes = static_cast<std::int64_t>(all.size() * sizeof(float));
        void* memory = driver_->allocate(device_, bytes);
        driver_->upload(memory, all.data(), bytes);
        tables_ = memory;
    }
    return static_cast<const float*>(tables_);
}

Programs cached_programs(std::shared_ptr<const Nvrtc> nvrtc, std::filesystem::path folder) {
    return [nvrtc = std::move(nvrtc), cache = ProgramCache(std::move(folder))](const Source& source, int major,
                                                                               int minor) {
        return cache.compiled(*nvrtc, source, nvrtc->architecture(major, minor));
    };
}

}  // namespace qlora::kernels::cuda
