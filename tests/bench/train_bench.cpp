// LoRA steps over a quantized base, as tests/bench/peers/train_qlora.py does them: random tokens, all of them targets, NF4
// with double quantization, all linear layers, AdamW. Prints one JSON object with the peer's fields, tensor bytes by tag and
// the useful products' rate.
//
//   bench_train [MODEL] [--seq 512] [--batch 1] [--steps 8] [--rank 16] [--ckpt] [--compute auto] [--precision nf4] [--threads N]

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "core/adapters/lora.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "core/evaluate/device.h"
#include "core/evaluate/loaded_model.h"
#include "core/memory/meters.h"
#include "core/quant/matmul.h"
#include "core/train/adamw.h"
#include "process.h"

using namespace qlora;

namespace {

data::Batch random_batch(RandomStream& random, std::int64_t rows, std::int64_t length, std::int64_t vocabulary) {
    data::Batch batch;
    batch.starts = {0};
    for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t i = 0; i < length; ++i) {
            batch.ids.push_back(static_cast<std::int32_t>(random.uniform() * static_cast<double>(vocabulary)));
            batch.positions.push_back(static_cast<std::int32_t>(i));
        }
        batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
    }
    batch.targets.assign(batch.ids.begin() + 1, batch.ids.end());
    batch.targets.push_back(data::ignored_target);
    for (std::int64_t row = 1; row < rows; ++row) batch.targets[static_cast<std::size_t>(row * length - 1)] = data::ignored_target;
    return batch;
}

// What a step cannot do without: every weight's product forward and for the gradient of its input, three of each A and B,
// and attention's two products forward and four for gradients, over the keys that are seen.
double useful_flop(const nn::Model& model, std::int64_t rows, std::int64_t length) {
    const auto tokens = static_cast<double>(rows * length);
    double per_token = 0;
    model.for_each_linear([&](const nn::Linear& layer) {
        per_token += 4.0 * static_cast<double>(layer.weight.rows() * layer.weight.cols());
        if (layer.branch) per_token += 6.0 * static_cast<double>(layer.branch->a.numel() + layer.branch->b.numel());
    });
    const double seen = static_cast<double>(length + 1) / 2;
    const auto width = static_cast<double>(model.config.query_width());
    return tokens * (per_token + static_cast<double>(model.config.layers) * 6 * 2 * width * seen);
}

// GFLOP/s of our own best product: 2048 rows by a plain 2048 x 2048 matrix.
double best_product(quant::Arithmetic arithmetic) {
    const torch::Tensor x = torch::randn({2048, 2048}), w = torch::randn({2048, 2048});
    double best = 0;
    for (int i = 0; i < 8; ++i) {
        const auto start = std::chrono::steady_clock::now();
        quant::matmul_transposed(quant::Operand(x, arithmetic), w);
        best = std::max(best, 2 * std::pow(2048.0, 3) / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return best / 1e9;
}

int run(const std::string& path, std::map<std::string, std::string> flags) {
    auto number = [&](const char* flag) { return std::stoll(flags[flag]); };
    evaluate::LoadOptions options;
    options.model = path;
    options.precision = bench::precision_named(flags["--precision"]);
    options.double_quantization = true;
    options.compute = flags["--compute"];
    options.threads = static_cast<int>(number("--threads"));
    Control control;
    const auto begun = std::chrono::steady_clock::now();
    auto seconds_since = [](auto start) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
    auto model = evaluate::load_model(options, control, [](const char*, double, double) {});
    nn::Model& network = model->network;
    network.gradient_checkpointing = flags["--ckpt"].empty();
    const double load = seconds_since(begun);
    adapters::LoraConfig config;
    config.rank = number("--rank");
    config.alpha = 2 * static_cast<double>(config.rank);
    auto adapter = adapters::Lora::attach(network, config, 0);
    train::AdamW optimizer(adapter->parameters(), recipe::Train{});
    const std::int64_t rows = number("--batch"), length = number("--seq");
    RandomStream random(0, "bench");
    std::vector<double> times;
    memory::reset_peak();
    for (std::int64_t step = 0; step <= number("--steps"); ++step) {
        const data::Batch batch = random_batch(random, rows, length, network.config.vocabulary);
        const auto start = std::chrono::steady_clock::now();
        const torch::Tensor loss = network.loss_sum(batch, {true, 0, static_cast<std::uint64_t>(step)}) /
                                   static_cast<double>(batch.trained_tokens());
        {
            memory::TagScope scope(MemoryTag::activations);
            loss.backward();
        }
        const double scale = train::clip(adapter->gradients(), 1).scale;
        optimizer.step(adapter->values(), adapter->gradients(), 2e-4, scale);
        adapter->gradients().zero_();
        if (step > 0) times.push_back(seconds_since(start));
    }
    std::ranges::sort(times);
    const double step = times[times.size() / 2];
    const auto reading = memory::read();
    Json tags = Json::object();
    for (std::size_t tag = 0; tag < memory_tag_count; ++tag)
        tags[std::string(memory_tag_names[tag])] = static_cast<double>(reading.at_peak.by_tag[tag]) / (1 << 20);
    const Json printed{{"peer", "QLoRA Studio"}, {"precision", flags["--precision"]}, {"compute", evaluate::compute_type(flags["--compute"])}, {"seq", length},
                       {"batch", rows}, {"checkpointing", network.gradient_checkpointing}, {"load_s", load}, {"step_s", step},
                       {"tok_s", static_cast<double>(rows * length) / step}, {"peak_rss_mib", bench::status_mib("VmHWM")},
                       {"tensors_mib", static_cast<double>(reading.peak_bytes) / (1 << 20)}, {"by_tag_mib", tags},
                       {"gflops", useful_flop(network, rows, length) / step / 1e9}, {"best_product_gflops", best_product(network.arithmetic)}};
    std::printf("%s\n", printed.dump().c_str());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::string path = QLORA_DEPS_DIR "/models/smollm2-135m.gguf";
    std::map<std::string, std::string> flags{{"--seq", "512"}, {"--batch", "1"}, {"--steps", "8"}, {"--rank", "16"},
                                             {"--compute", "auto"}, {"--precision", "nf4"}, {"--threads", "0"}, {"--ckpt", "-"}};
    return bench::guarded(argc, argv, path, flags, [&] { return run(path, flags); });
}
