#include "core/evaluate/device.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <thread>

#include "core/base/error.h"
#include "core/memory/counting_allocator.h"
#include "kernels/gemm.h"

namespace qlora::evaluate {

std::string use_device(const std::string& device, int threads) {
    if (device.starts_with("cuda"))
        throw input_error("device", "--device", "the device \"" + device + "\" is not supported yet: this version computes on the CPU",
                          "Use --device cpu.");
    if (device != "auto" && device != "cpu")
        throw input_error("device", "--device", "expected auto, cpu, cuda or cuda:N, got \"" + device + "\"");
    memory::install_counting_allocator();
    const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    at::set_num_threads(threads > 0 ? threads : cores);
    return "CPU, " + std::to_string(at::get_num_threads()) + (at::get_num_threads() == 1 ? " thread" : " threads");
}

std::string compute_type(const std::string& compute, std::vector<std::string>* notices) {
    if (compute == "fp16")
        throw input_error("recipe.compute", "compute", "fp16 computes on a GPU only; expected auto, fp32 or bf16");
    const bool fast = kernels::has_bf16_products();
    if (compute == "bf16" && !fast && notices != nullptr)
        notices->push_back("This processor has no instructions for bf16: the model computes in fp32.");
    return compute != "fp32" && fast ? "bf16" : "fp32";
}

}  // namespace qlora::evaluate
