#include "core/evaluate/device.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <charconv>
#include <cstdio>
#include <thread>

#include "core/base/error.h"
#include "core/gpu/gpu.h"
#include "core/memory/counting_allocator.h"
#include "kernels/gemm.h"

namespace qlora::evaluate {

int gpu_index(const std::string& device) {
    if (device == "cpu") return -1;
    int wanted = 0;
    if (device != "auto" && device != "cuda") {
        const char *begin = device.data() + 5, *end = device.data() + device.size();
        if (!device.starts_with("cuda:") || begin == end || std::from_chars(begin, end, wanted).ptr != end || wanted < 0)
            throw input_error("device", "--device", "expected auto, cpu, cuda or cuda:N, got \"" + device + "\"");
    }
    const auto available = gpu::available();
    if (wanted < available.devices) return wanted;
    if (device == "auto") return -1;
    if (available.devices == 0)
        throw input_error("device", "--device", "the device \"" + device + "\" cannot be used: " + available.why, "Use --device cpu; docs/gpu.md says what a GPU needs.");
    throw input_error("device", "--device", "expected a GPU below " + std::to_string(available.devices) + ", the number there are, got \"" + device + "\"");
}

std::string gpus_text() {
    const auto available = gpu::available();
    if (available.devices == 0) return "none: " + available.why;
    std::string text;
    for (int i = 0; i < available.devices; ++i) {
        const auto facts = gpu::facts(i);
        char size[32];
        std::snprintf(size, sizeof(size), "%.1f GiB", static_cast<double>(facts.bytes) / (1 << 30));
        text += (i > 0 ? "; " : "") + facts.name + " (" + std::to_string(facts.major) + "." + std::to_string(facts.minor) + "), " + size;
    }
    return text;
}

std::string use_device(const std::string& device, int threads) {
    const int gpu = gpu_index(device);
    memory::install_counting_allocator();
    const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    at::set_num_threads(threads > 0 ? threads : cores);
    if (gpu >= 0) {
        gpu::use(gpu);
        return gpu::facts(gpu).name;
    }
    return "CPU, " + std::to_string(at::get_num_threads()) + (at::get_num_threads() == 1 ? " thread" : " threads");
}

std::string compute_type(const std::string& compute, std::vector<std::string>* notices, int gpu) {
    if (compute == "fp16")
        throw input_error("recipe.compute", "compute", "fp16 is not computed in yet; expected auto, fp32 or bf16");
    const bool fast = gpu >= 0 ? gpu::facts(gpu).major >= 8 : kernels::has_bf16_products();
    if (compute == "bf16" && !fast && notices != nullptr)
        notices->push_back(std::string(gpu >= 0 ? "This GPU" : "This processor") + " has no instructions for bf16: the model computes in fp32.");
    return compute != "fp32" && fast ? "bf16" : "fp32";
}

}  // namespace qlora::evaluate
