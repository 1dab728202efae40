#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>

#include "core/base/error.h"
#include "core/base/file.h"

namespace qlora {

namespace {

// Live mappings, read by the signal handler without a lock. begin == 0 marks a free slot.
struct Slot {
    std::atomic<std::uintptr_t> begin{0}, end{0};
    std::atomic<bool> lost{false};
};
std::array<Slot, 1024> slots;
struct sigaction previous_action;

// A page beyond the file's new end was touched: put a zero page there, so that the reader goes on to its check.
void on_bus_error(int signal, siginfo_t* info, void* context) {
    auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (Slot& slot : slots) {
        std::uintptr_t begin = slot.begin.load();
        if (begin == 0 || address < begin || address >= slot.end.load()) continue;
        slot.lost.store(true);
        auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
        void* start = reinterpret_cast<void*>(address & ~(page - 1));
        if (::mmap(start, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) return;
    }
    if (previous_action.sa_flags & SA_SIGINFO) {
        previous_action.sa_sigaction(signal, info, context);
    } else {
        ::signal(SIGBUS, SIG_DFL);  // returning runs the faulting instruction again, now fatally
    }
}

void install_handler() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action {};
        action.sa_sigaction = on_bus_error;
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        ::sigaction(SIGBUS, &action, &previous_action);
    });
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        throw input_error(errno == ENOENT ? "file.not_found" : "file.open", path.string(),
                          "cannot open: " + errno_text(errno), "Check the path and its permissions.");
    struct stat info {};
    int error = ::fstat(fd, &info) == 0 ? 0 : errno;
    if (error != 0 || !S_ISREG(info.st_mode)) {
        ::close(fd);
        throw input_error("file.not_regular", path.string(),
                          S_ISDIR(info.st_mode) ? "expected a file, got a folder" : "expected a regular file");
    }
    size_ = static_cast<std::size_t>(info.st_size);
    if (size_ == 0) {
        ::close(fd);
        return;
    }
    install_handler();
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    error = errno;
    ::close(fd);
    if (address == MAP_FAILED) throw failure("file.map", path.string(), "cannot map: " + errno_text(error));
    data_ = static_cast<const std::byte*>(address);
    static std::mutex registration;
    std::lock_guard lock(registration);
    for (std::size_t i = 0; i < slots.size() && slot_ < 0; ++i) {
        if (slots[i].begin.load() != 0) continue;
        slots[i].lost.store(false);
        slots[i].end.store(reinterpret_cast<std::uintptr_t>(data_) + size_);
        slots[i].begin.store(reinterpret_cast<std::uintptr_t>(data_));
        slot_ = static_cast<int>(i);
    }
    if (slot_ < 0) {
        ::munmap(address, size_);
        throw failure("file.map", path.string(), "too many files are open at once (" + std::to_string(slots.size()) + ")");
    }
}

MappedFile::~MappedFile() {
    if (slot_ >= 0) slots[static_cast<std::size_t>(slot_)].begin.store(0);
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::forget(std::span<const std::byte> bytes) noexcept {
    const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data()), end = begin + bytes.size();
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (const Slot& slot : slots) {
        const std::uintptr_t first = slot.begin.load();
        if (first == 0 || begin < first || end > slot.end.load()) continue;
        const std::uintptr_t from = begin & ~(page - 1), to = end & ~(page - 1);
        if (to > from) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
        return;
    }
}

void MappedFile::check() const {
    if (slot_ >= 0 && slots[static_cast<std::size_t>(slot_)].lost.load())
        throw failure("file.truncated", path_.string(), "the file was cut short while it was being read",
                      "Restore the file and load it again.");
}

}  // namespace qlora
