#include "core/parallel/environment.h"

#include <torch/cuda.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/base/error.h"

namespace qlora::parallel {

namespace {

constexpr const char* hint =
    "Start the processes with --processes or a launcher such as torchrun, or unset RANK and WORLD_SIZE to train in one process.";

std::optional<std::string> variable(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
}

Error wrong(const char* name, const std::string& expected, const std::optional<std::string>& got) {
    return input_error("parallel.environment", name, "expected " + expected + ", got " + (got ? "\"" + *got + "\"" : "nothing"), hint);
}

int number(const char* name, int low, int high, std::optional<int> fallback = {}) {
    const auto text = variable(name);
    if (!text && fallback) return *fallback;
    int value = 0;
    const char *begin = text ? text->data() : "", *end = begin + std::strlen(begin);
    const auto [last, error] = std::from_chars(begin, end, value);
    if (begin == end || error != std::errc() || last != end || value < low || value > high)
        throw wrong(name, "a whole number from " + std::to_string(low) + " to " + std::to_string(high), text);
    return value;
}

}  // namespace

Environment read_environment() {
    constexpr int most = 1 << 16;
    Environment e;
    if (!variable("RANK") && !variable("WORLD_SIZE")) return e;
    const int size = number("WORLD_SIZE", 1, most);
    e.rank = number("RANK", 0, size - 1);
    if (size == 1) return e;
    e.size = size;
    e.local_size = number("LOCAL_WORLD_SIZE", 1, size, 1);
    e.local_rank = number("LOCAL_RANK", 0, size - 1, 0);
    const auto address = variable("MASTER_ADDR");
    if (!address) throw wrong("MASTER_ADDR", "the name or address of the machine that process 0 runs on", address);
    e.address = *address;
    e.port = static_cast<std::uint16_t>(number("MASTER_PORT", 1, 65535));
    e.served = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
    if (e.served) e.prefix = "/worker/attempt_" + variable("TORCHELASTIC_RESTART_COUNT").value_or("0");
    return e;
}

std::vector<std::pair<std::string, std::string>> variables(const Environment& e) {
    return {{"RANK", std::to_string(e.rank)},
            {"WORLD_SIZE", std::to_string(e.size)},
            {"LOCAL_RANK", std::to_string(e.local_rank)},
            {"LOCAL_WORLD_SIZE", std::to_string(e.local_size)},
            {"MASTER_ADDR", e.address},
            {"MASTER_PORT", std::to_string(e.port)}};
}

std::string own_device(const std::string& device, const Environment& environment) {
    if (environment.alone() || (device != "auto" && device != "cuda")) return device;
    const auto devices = static_cast<int>(torch::cuda::device_count());
    if (devices == 0) return device;
    return "cuda:" + std::to_string(environment.local_rank % devices);
}

std::vector<std::string> carriers() {
#if QLORA_NCCL
    return {"gloo", "nccl"};
#else
    return {"gloo"};
#endif
}

}  // namespace qlora::parallel
