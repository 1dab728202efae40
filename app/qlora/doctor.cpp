#include <arrow/util/config.h>
#include <curl/curl.h>
#include <sqlite3.h>
#include <unicode/uversion.h>

#include <array>
#include <filesystem>

#include "app/qlora/command.h"
#include "app/qlora/format.h"
#include "app/qlora/machine.h"
#include "core/base/home.h"
#include "core/evaluate/device.h"
#include "core/hub/catalogue.h"
#include "core/memory/meters.h"
#include "core/parallel/environment.h"
#include "core/plan/plan.h"

namespace qlora::cli {

namespace {

std::string icu_version() {
    UVersionInfo version;
    std::array<char, U_MAX_VERSION_STRING_LENGTH> text{};
    u_getVersion(version);
    u_versionToString(version, text.data());
    return text.data();
}

OrderedJson libraries() {
    return {{"torch", QLORA_TORCH_VERSION},
            {"arrow", ARROW_VERSION_STRING},
            {"sqlite", sqlite3_libversion()},
            {"icu", icu_version()},
            {"curl", curl_version_info(CURLVERSION_NOW)->version}};
}

// The free space of the disk that a folder lies on, or will lie on.
std::int64_t free_bytes(std::filesystem::path folder) {
    std::error_code error;
    while (!std::filesystem::exists(folder, error) && folder.has_relative_path())
        folder = folder.parent_path();
    auto space = std::filesystem::space(folder, error);
    return error ? 0 : static_cast<std::int64_t>(space.available);
}

struct Size {
    const char* name;
    double parameters;
};

// With a frozen base a trained token costs two multiply-adds a parameter forwards and back: 4 operations.
double trained_tokens_per_second(double flops, double parameters) {
    return flops / (4 * parameters);
}
// nf4 with double quantization for nine tenths of the parameters, 16 bit for the embedding; and half as much
// again for the adapter and activations.
double needed_bytes(double parameters) {
    return parameters * (0.9 * 4.127 / 8 + 0.1 * 2) * 1.5;
}

}  // namespace

Run define_doctor(CLI::App&) {
    return [](Context& context) {
        Machine machine = this_machine();
        memory::Reading memory = memory::read();
        const auto [flops, bf16_flops] = plan::measured_gemm_rates();
        std::filesystem::path home = data_home();
        const std::string gpus_text = evaluate::gpus_text();

        OrderedJson devices =
            OrderedJson::array({{{"name", "cpu"}, {"flops", flops}, {"bf16_flops", bf16_flops}, {"memory_bytes", machine.memory_bytes}}});
        if (memory.device)
            devices.push_back({{"name", "cuda"},
                               {"memory_bytes", memory.device->total},
                               {"used_bytes", memory.device->used}});
        std::string carried;
        for (const std::string& carrier : parallel::carriers()) carried += (carried.empty() ? "" : " and ") + carrier;
        std::vector<std::vector<std::string>> rows{
            {"system", machine.system},
            {"processor", machine.processor + ", " + std::to_string(machine.cores) + " cores"},
            {"memory",
             bytes_text(machine.memory_bytes) + ", " + bytes_text(machine.available_bytes) + " available"},
            {"arithmetic", fixed(flops / 1e9, 0) + " GFLOP/s in fp32, " +
                               (bf16_flops > 0 ? fixed(bf16_flops / 1e9, 0) + " in bf16" : "no bf16 instructions")},
            {"CUDA device", gpus_text + (memory.device ? "; of " + bytes_text(memory.device->total) + " " +
                                                             bytes_text(memory.device->used) + " used"
                                                       : "")},
            {"processes", "train --processes N, over " + carried},
            {"home", home.string() + ", " + bytes_text(free_bytes(home)) + " free"}};
        std::string features;
        for (const std::string& feature : machine.features) features += feature + " ";
        rows.insert(rows.begin() + 2, std::vector<std::string>{"", features});
        OrderedJson versions = libraries(), speeds = OrderedJson::array();
        for (const auto& [name, version] : versions.items())
            rows.push_back({name, version.get<std::string>()});
        for (const Size& size : {Size{"135M", 135e6}, Size{"1B", 1e9}, Size{"3B", 3e9}, Size{"8B", 8e9}}) {
            double rate = trained_tokens_per_second(flops, size.parameters),
                   needed = needed_bytes(size.parameters);
            bool fits = needed < static_cast<double>(machine.available_bytes);
            speeds.push_back({{"parameters", size.parameters},
                              {"device", "cpu"},
                              {"tokens_per_second", rate},
                              {"fits", fits}});
            rows.push_back({std::string("LoRA on ") + size.name,
                            "about " + fixed(rate, rate < 10 ? 1 : 0) + " tokens/s, " +
                                bytes_text(static_cast<std::int64_t>(needed)) +
                                (fits ? "" : ": does not fit")});
        }
        context.output.answer({{"system", machine.system},
                               {"processor", machine.processor},
                               {"features", machine.features},
                               {"cores", machine.cores},
                               {"memory_bytes", machine.memory_bytes},
                               {"available_bytes", machine.available_bytes},
                               {"devices", devices},
                               {"gpus", gpus_text},
                               {"libraries", versions},
                               {"carriers", parallel::carriers()},
                               {"home", home.string()},
                               {"home_free_bytes", free_bytes(home)},
                               {"expected", speeds}},
                              table(rows));
        return 0;
    };
}

}  // namespace qlora::cli
