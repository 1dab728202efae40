#include "core/memory/meters.h"

#include <unistd.h>

#include <fstream>
#include <string>

#include "core/memory/counting_allocator.h"
#include "core/memory/cuda_memory.h"
#include "core/memory/nvml.h"

namespace qlora::memory {

namespace {

std::int64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::int64_t pages = 0, resident = 0;
    statm >> pages >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
}

void read_machine(Reading& reading) {
    std::ifstream meminfo("/proc/meminfo");
    std::string key, unit;
    std::int64_t kib = 0;
    while (meminfo >> key >> kib && std::getline(meminfo, unit)) {
        if (key == "MemTotal:") reading.machine_bytes = kib * 1024;
        if (key == "MemAvailable:") {
            reading.machine_available_bytes = kib * 1024;
            return;
        }
    }
}

}  // namespace

Reading read() {
    install_counting_allocator();
    Counts counted = counts();
    Reading reading;
    reading.live = counted.live;
    reading.peak_bytes = counted.peak;
    reading.at_peak = counted.at_peak;
    reading.process_bytes = resident_bytes();
    read_machine(reading);
    reading.device = cuda_memory();
    if (!reading.device) reading.device = nvml_memory(0);
    return reading;
}

void reset_peak() { reset_counted_peak(); }

TagScope::TagScope(MemoryTag tag) : previous_(current_tag()) {
    install_counting_allocator();
    set_current_tag(tag);
}

TagScope::~TagScope() { set_current_tag(previous_); }

}  // namespace qlora::memory
