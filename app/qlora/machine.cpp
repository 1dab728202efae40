#include "app/qlora/machine.h"

#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

namespace qlora::cli {

namespace {

// The value of "key: value" or "key=value" in a file of such lines.
std::string value_of(const char* file, const std::string& key, char separator) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        std::size_t at = line.find(separator);
        if (at == std::string::npos) continue;
        std::size_t end = line.find_last_not_of(" \t", at == 0 ? 0 : at - 1);
        if (line.substr(0, end + 1) != key) continue;
        std::size_t begin = line.find_first_not_of(" \t\"", at + 1);
        if (begin == std::string::npos) return {};
        std::string value = line.substr(begin);
        if (value.ends_with('"')) value.pop_back();
        return value;
    }
    return {};
}

std::int64_t kibibytes(const std::string& text) {
    return std::strtoll(text.c_str(), nullptr, 10) * 1024;
}

// A control group's number in a file of its own; -1 without one or without a limit ("max").
std::int64_t group_number(const char* file) {
    std::ifstream in(file);
    std::int64_t number = -1;
    return in >> number ? number : -1;
}

int usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

Machine this_machine() {
    static constexpr std::array worth_telling = {
        "avx",         "avx2",     "fma",      "f16c",        "avx512f",  "avx512bw",
        "avx512_vnni", "avx_vnni", "amx_tile", "avx512_bf16", "amx_bf16", "amx_int8",
        "neon",        "asimd",    "bf16",     "i8mm",        "sve"};
    Machine machine;
    machine.processor = value_of("/proc/cpuinfo", "model name", ':');
    std::string flags = value_of("/proc/cpuinfo", "flags", ':');
    if (flags.empty()) flags = value_of("/proc/cpuinfo", "Features", ':');
    std::istringstream words(flags);
    for (std::string word; words >> word;)
        if (std::find(worth_telling.begin(), worth_telling.end(), word) != worth_telling.end())
            machine.features.push_back(word);
    machine.cores = usable_cores();
    machine.memory_bytes = kibibytes(value_of("/proc/meminfo", "MemTotal", ':'));
    machine.available_bytes = kibibytes(value_of("/proc/meminfo", "MemAvailable", ':'));
    std::int64_t limit = group_number("/sys/fs/cgroup/memory.max"),
                 used = group_number("/sys/fs/cgroup/memory.current");
    if (limit > 0 && limit < machine.memory_bytes) {
        machine.memory_bytes = limit;
        machine.available_bytes = std::min(machine.available_bytes, std::max<std::int64_t>(0, limit - used));
    }
    utsname system{};
    if (::uname(&system) == 0)
        machine.system = std::string(system.sysname) + " " + system.release + " " + system.machine;
    std::string distribution = value_of("/etc/os-release", "PRETTY_NAME", '=');
    if (!distribution.empty()) machine.system += ", " + distribution;
    return machine;
}

}  // namespace qlora::cli
