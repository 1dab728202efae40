// Prompt and decoding speed, as tests/bench/peers/generate.py measures it: 256 prompt tokens, then 64 decoded ones, one row.
// Prints one JSON object with the peer's fields, and the bytes of weights read a second while decoding.
//
//   bench_generate [MODEL] [--precision nf4] [--compute auto] [--threads N]     precision native: as the file has it

#include <torch/torch.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/evaluate/device.h"
#include "core/evaluate/loaded_model.h"
#include "process.h"

using namespace qlora;

namespace {

double seconds_of(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int run(const std::string& path, std::map<std::string, std::string> flags) {
    evaluate::LoadOptions options;
    options.model = path;
    options.precision = bench::precision_named(flags["--precision"]);
    options.compute = flags["--compute"];
    options.threads = std::stoi(flags["--threads"]);
    Control control;
    auto model = evaluate::load_model(options, control, [](const char*, double, double) {});
    std::vector<std::int32_t> prompt(256);
    std::iota(prompt.begin(), prompt.end(), 1000);
    model->network.next_logits(prompt, *std::make_unique<nn::KeyValueCache>());
    nn::KeyValueCache cache;
    const double first = seconds_of([&] { model->network.next_logits(prompt, cache); });
    const double decode = seconds_of([&] {
        for (std::int32_t i = 0; i < 64; ++i) model->network.next_logits({100 + i}, cache);
    });
    const Json printed{{"engine", "QLoRA Studio"}, {"precision", flags["--precision"]}, {"compute", evaluate::compute_type(flags["--compute"])},
                       {"prompt_tok_s", 256 / first}, {"decode_tok_s", 64 / decode},
                       {"weights_gb_s", static_cast<double>(model->network.weight_bytes()) * 64 / decode / 1e9}};
    std::printf("%s\n", printed.dump().c_str());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::string path = QLORA_DEPS_DIR "/models/smollm2-135m.gguf";
    std::map<std::string, std::string> flags{{"--compute", "auto"}, {"--precision", "nf4"}, {"--threads", "0"}};
    return bench::guarded(argc, argv, path, flags, [&] { return run(path, flags); });
}
