#include "core/runs/process.h"

#include <fstream>
#include <sstream>

namespace qlora::runs {

namespace {

std::string first_line(const std::string& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

}  // namespace

std::string process_stamp(int process) {
    // proc(5): the name in brackets may hold anything; after it come the state (field 3) and, as field 22,
    // the start time in clock ticks since boot. A zombie has ended.
    std::string status = first_line("/proc/" + std::to_string(process) + "/stat");
    std::size_t bracket = status.rfind(')');
    if (bracket == std::string::npos) return {};
    std::istringstream rest(status.substr(bracket + 1));
    std::string field;
    for (int number = 3; number <= 22 && rest >> field; ++number)
        if (number == 3 && (field == "Z" || field == "X")) return {};
    return rest ? first_line("/proc/sys/kernel/random/boot_id") + " " + field : std::string();
}

}  // namespace qlora::runs
