#include "core/parallel/children.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "core/base/error.h"

extern char** environ;

namespace qlora::parallel {

namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (std::string& text : texts) all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

// This process's variables, with those of `environment` in place of its own.
std::vector<std::string> surroundings(const Environment& environment) {
    const auto own = variables(environment);
    std::vector<std::string> all;
    for (char** at = environ; *at != nullptr; ++at) {
        const std::string text = *at;
        const std::string name = text.substr(0, text.find('='));
        if (std::ranges::none_of(own, [&](const auto& variable) { return variable.first == name; }) && !name.starts_with("TORCHELASTIC_"))
            all.push_back(text);
    }
    for (const auto& [name, value] : own) all.push_back(name + "=" + value);
    return all;
}

pid_t start(const std::string& program, std::vector<std::string> arguments, const Environment& environment) {
    auto around = surroundings(environment);
    const auto arguments_ = pointers(arguments), around_ = pointers(around);
    const pid_t parent = ::getpid(), child = ::fork();
    if (child != 0) return child;
    // Only what may be called between fork and exec in a program with threads.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) {
        ::dup2(STDERR_FILENO, STDOUT_FILENO);
        ::execve(program.c_str(), arguments_.data(), around_.data());
    }
    ::_exit(127);
}

}  // namespace

std::vector<Environment> on_this_machine(int processes, int listener, std::uint16_t port) {
    std::vector<Environment> all;
    for (int rank = 0; rank < processes; ++rank) {
        Environment& e = all.emplace_back();
        e.rank = e.local_rank = rank;
        e.size = e.local_size = processes;
        e.address = "127.0.0.1";
        e.port = port;
        if (rank == 0) e.listener = listener;
    }
    return all;
}

Children::Children(const std::vector<std::string>& arguments, std::span<const Environment> environments) {
    std::error_code error;
    const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
    for (const Environment& environment : environments) {
        const pid_t id = error ? -1 : start(program, arguments, environment);
        if (id < 0) throw failure("parallel.start", "process " + std::to_string(environment.rank), "cannot be started: " + errno_text(error ? error.value() : errno));
        children_.push_back({id, environment.rank});
    }
}

Children::~Children() {
    look();
    for (const Child& child : children_)
        if (!child.ended) ::kill(child.id, SIGKILL);
    for (const Child& child : children_)
        if (!child.ended) ::waitpid(child.id, nullptr, 0);
}

void Children::look() {
    for (Child& child : children_)
        if (!child.ended) child.ended = ::waitpid(child.id, &child.status, WNOHANG) == child.id;
}

void Children::check() {
    look();
    if (std::ranges::none_of(children_, &Child::ended)) return;
    const std::string how = endings();
    throw failure("parallel.lost", "--processes", how.empty() ? "a process ended before the run began" : how,
                  "What it said stands above; if it said nothing, there may be too little memory for so many processes.");
}

std::string Children::wait(std::chrono::milliseconds longest) {
    const auto begun = std::chrono::steady_clock::now();
    for (look(); !std::ranges::all_of(children_, &Child::ended) && std::chrono::steady_clock::now() - begun < longest; look())
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return endings();
}

std::string Children::endings() const {
    std::string all;
    for (const Child& child : children_) {
        if (!child.ended || (WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0)) continue;
        if (!all.empty()) all += "; ";
        all += "process " + std::to_string(child.rank);
        if (WIFSIGNALED(child.status))
            all += " was ended by signal " + std::to_string(WTERMSIG(child.status)) + " (" + ::sigdescr_np(WTERMSIG(child.status)) + ")";
        else
            all += " ended with exit code " + std::to_string(WEXITSTATUS(child.status));
    }
    return all;
}

}  // namespace qlora::parallel
