#pragma once
// The other processes of a group on this machine, started by the one that is rank 0.

#include <sys/types.h>

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "core/parallel/environment.h"

namespace qlora::parallel {

// The environments of `processes` processes on this machine, for a group that nobody else can join from outside: rank 0 listens
// on 127.0.0.1. `listener` is a bound socket, `port` its port.
std::vector<Environment> on_this_machine(int processes, int listener, std::uint16_t port);

// Not for several threads at once. The thread that starts them must live as long as they: they end with it.
class Children {
  public:
    // Starts this very program with `arguments` once for every environment. What they write to stdout goes to stderr.
    // Throws failure "parallel.start".
    Children(const std::vector<std::string>& arguments, std::span<const Environment> environments);
    ~Children();  // ends at once those that still run
    Children(const Children&) = delete;
    Children& operator=(const Children&) = delete;

    // Throws failure "parallel.lost" when one has ended.
    void check();
    // Waits until all have ended, at most so long. Says of those that ended badly how: "process 1 was ended by signal 9 (Killed)".
    std::string wait(std::chrono::milliseconds longest);

  private:
    struct Child {
        pid_t id;
        int rank;
        bool ended = false;
        int status = 0;
    };
    void look();
    std::string endings() const;

    std::vector<Child> children_;
};

}  // namespace qlora::parallel
