#pragma once
// Whether the program that began a run still lives: a process id alone may have been given to another one
// since.

#include <string>

namespace qlora::runs {

// Which start of which process it is: boot and start time, from /proc; empty when there is no such process.
std::string process_stamp(int process);
inline bool is_alive(int process, const std::string& stamp) {
    return process > 0 && !stamp.empty() && process_stamp(process) == stamp;
}

}  // namespace qlora::runs
