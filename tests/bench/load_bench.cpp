// How long loading takes, and the most memory it takes above what the process had before.
//
// bench_load [MODEL] [PRECISION] [THREADS]; without arguments: the embedded SmolLM2 to nf4 on 2 threads. Exits with 1 where
// the peak lies more than 300 MiB above what stays.

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>

#include "core/base/error.h"
#include "core/memory/meters.h"
#include "core/nn/load.h"
#include "process.h"

using namespace qlora;

namespace {

constexpr double mebi = 1024.0 * 1024.0, margin = 300;

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void reset_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

int run(const std::string& path, const std::string& precision, int threads) {
    at::set_num_threads(threads);
    memory::read();
    // Threads and LibTorch's own tables are there before.
    const torch::Tensor warm = torch::randn({512, 512});
    if (warm.mm(warm).sum().item<float>() == 0) return 1;
    reset_peak();
    const double baseline = bench::status_mib("VmRSS");
    const double processor = processor_seconds();
    const auto begun = std::chrono::steady_clock::now();
    Control control;
    const nn::Model model = nn::load(nn::ModelFiles::open(path), {bench::precision_named(precision), {}}, control);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    const double peak = bench::status_mib("VmHWM") - baseline, kept = static_cast<double>(model.weight_bytes()) / mebi;
    std::printf("%s to %s on %d threads: %.2f s, %.2f s of processor time\n", path.c_str(), precision.c_str(), threads, seconds,
                processor_seconds() - processor);
    std::printf("weights %.1f MiB, peak of the process %.1f MiB above its %.1f MiB before: %.1f MiB more than what stays (bar %.0f)\n", kept, peak,
                baseline, peak - kept, margin);
    return peak <= kept + margin ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc > 1 ? argv[1] : QLORA_DEPS_DIR "/models/smollm2-135m.gguf", argc > 2 ? argv[2] : "nf4", argc > 3 ? std::atoi(argv[3]) : 2);
    } catch (const Error& error) {
        std::fprintf(stderr, "%s\n%s\n", error.what(), error.hint().c_str());
        return error.exit_code();
    }
}
