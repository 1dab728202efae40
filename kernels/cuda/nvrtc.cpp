#include "kernels/cuda/nvrtc.h"

#include <algorithm>

#include "kernels/cuda/library.h"

namespace qlora::kernels::cuda {

namespace {

// Bit-equality with the CPU forbids fusing and approximations behind our back.
constexpr const char* compile_options[] = {"--std=c++17", "--fmad=false", "--ftz=false", "--prec-div=true",
                                           "--prec-sqrt=true"};

using Program = struct Opaque*;

}  // namespace

// The part of NVRTC's ABI that is used here (nvrtc.h of CUDA 12 and 13). 0 is success.
struct Nvrtc::Functions {
    Library library;
    std::unique_ptr<Library> builtins;
    int (*version)(int*, int*);
    int (*count)(int*);
    int (*architectures)(int*);
    const char* (*error)(int);
    int (*create)(Program*, const char* source, const char* name, int headers, const char* const* texts,
                  const char* const* names);
    int (*compile)(Program, int count, const char* const* options);
    int (*destroy)(Program*);
    int (*log_size)(Program, std::size_t*);
    int (*log)(Program, char*);
    int (*cubin_size)(Program, std::size_t*);
    int (*cubin)(Program, char*);
    int (*ptx_size)(Program, std::size_t*);
    int (*ptx)(Program, char*);

    explicit Functions(std::initializer_list<std::string> names) : library(names) {
        library.bind(version, "nvrtcVersion");
        library.bind(count, "nvrtcGetNumSupportedArchs");
        library.bind(architectures, "nvrtcGetSupportedArchs");
        library.bind(error, "nvrtcGetErrorString");
        library.bind(create, "nvrtcCreateProgram");
        library.bind(compile, "nvrtcCompileProgram");
        library.bind(destroy, "nvrtcDestroyProgram");
        library.bind(log_size, "nvrtcGetProgramLogSize");
        library.bind(log, "nvrtcGetProgramLog");
        library.bind(cubin_size, "nvrtcGetCUBINSize");
        library.bind(cubin, "nvrtcGetCUBIN");
        library.bind(ptx_size, "nvrtcGetPTXSize");
        library.bind(ptx, "nvrtcGetPTX");
    }
    // NVRTC asks the loader for a second library by its bare name, which only some builds find beside themselves.
    void load_builtins(const std::string& version) {
        Dl_info here{};
        if (::dladdr(reinterpret_cast<const void*>(create), &here) == 0 || here.dli_fname == nullptr) return;
        const auto path = std::filesystem::path(here.dli_fname).parent_path() / ("libnvrtc-builtins.so." + version);
        if (std::filesystem::exists(path)) builtins = std::make_unique<Library>(std::initializer_list{path.string()});
    }
    void check(int result, const std::string& what) const {
        if (result != 0) throw std::runtime_error(what + ": " + error(result));
    }
    // What two functions give: a size, and so many characters.
    std::string text(Program program, int (*size)(Program, std::size_t*), int (*get)(Program, char*)) const {
        std::size_t bytes = 0;
        check(size(program, &bytes), "NVRTC");
        std::string result(bytes, '\0');
        check(get(program, result.data()), "NVRTC");
        return result;
    }
};

Nvrtc::Nvrtc(const std::string& library) {
    try {
        functions_ =
            library.empty()
                ? std::make_unique<Functions>(std::initializer_list<std::string>{"libnvrtc.so.13", "libnvrtc.so.12"})
                : std::make_unique<Functions>(std::initializer_list<std::string>{library});
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(std::string("CUDA's run-time compiler cannot be loaded: ") + error.what());
    }
    int major = 0, minor = 0, count = 0;
    functions_->check(functions_->version(&major, &minor), "NVRTC's version");
    version_ = std::to_string(major) + "." + std::to_string(minor);
    functions_->load_builtins(version_);
    functions_->check(functions_->count(&count), "NVRTC's architectures");
    architectures_.resize(static_cast<std::size_t>(count));
    functions_->check(functions_->architectures(architectures_.data()), "NVRTC's architectures");
    std::ranges::sort(architectures_);
}

Nvrtc::~Nvrtc() = default;

std::span<const char* const> Nvrtc::options() {
    return compile_options;
}

std::string Nvrtc::architecture(int major, int minor) const {
    const int wanted = 10 * major + minor;
    const auto behind = std::ranges::upper_bound(architectures_, wanted);
    if (behind == architectures_.begin())
        throw std::runtime_error("a device of compute capability " + std::to_string(major) + "." +
                                 std::to_string(minor) + " is older than NVRTC " + version_ + " compiles for");
    const int nearest = *std::prev(behind);
    return (nearest == wanted ? "sm_" : "compute_") + std::to_string(nearest);
}

std::string Nvrtc::compile(const Source& source, const std::string& architecture) const {
    const Functions& f = *functions_;
    std::vector<const char*> texts, names, all(options().begin(), options().end());
    for (const Source& header : headers()) {
        texts.push_back(header.text);
        names.push_back(header.name);
    }
    const std::string target = "--gpu-architecture=" + architecture, name = std::string(source.name) + ".cu";
    all.push_back(target.c_str());
    Program program = nullptr;
    f.check(f.create(&program, source.text, name.c_str(), static_cast<int>(texts.size()), texts.data(), names.data()),
            name);
    const struct Destroy {
        const Functions& f;
        Program program;
        ~Destroy() { f.destroy(&program); }
    } destroy{f, program};
    if (const int result = f.compile(program, static_cast<int>(all.size()), all.data()); result != 0)
        throw std::runtime_error(name + " for " + architecture + ": " + f.error(result) + "\n" +
                                 f.text(program, f.log_size, f.log));
    return architecture.starts_with("sm_") ? f.text(program, f.cubin_size, f.cubin)
                                           : f.text(program, f.ptx_size, f.ptx);
}

}  // namespace qlora::kernels::cuda
