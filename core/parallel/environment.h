#pragma once
// Which of several processes this one is, by the variables that torchrun and other launchers set: RANK, WORLD_SIZE,
// MASTER_ADDR, MASTER_PORT; LOCAL_RANK and LOCAL_WORLD_SIZE among those of the same machine.

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace qlora::parallel {

struct Environment {
    int rank = 0, size = 1;  // of all processes; rank 0 tells and writes for all
    int local_rank = 0, local_size = 1;
    std::string address{};   // where rank 0 listens, a name or a number
    std::uint16_t port = 0;
    bool served = false;     // the launcher itself listens there (torchrun's agent), not rank 0
    std::string prefix{};    // of the keys, so that a launcher's next attempt does not read those of the one before
    int listener = -1;       // a bound socket for rank 0 to listen on; -1: it binds the port itself
    std::chrono::milliseconds patience{300000};  // until all have come

    bool alone() const { return size == 1; }
};

// One process alone where neither RANK nor WORLD_SIZE is set, or WORLD_SIZE is 1. Throws input_error
// "parallel.environment", whose `where` is the variable that is missing or wrong.
Environment read_environment();

// The variables that say so to a program that is to be started.
std::vector<std::pair<std::string, std::string>> variables(const Environment& environment);

// The device of this process: with several on a machine each takes its own GPU, by its local rank, where `device` names none.
std::string own_device(const std::string& device, const Environment& environment);

// What carries tensors between processes in this build: "gloo", and "nccl" between GPUs.
std::vector<std::string> carriers();

}  // namespace qlora::parallel
