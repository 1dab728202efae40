#pragma once
// Bytes as a file in memory, for tests that open many files or large ones: readers run as they do in the
// program, through a path, and the disk has no part in it.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>

namespace qlora::fuzz {

class MemoryFile {
  public:
    explicit MemoryFile(std::span<const std::byte> bytes) : fd_(::memfd_create("memory-file", MFD_CLOEXEC)) {
        if (fd_ < 0 || ::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
            throw std::runtime_error("no file in memory");
    }
    ~MemoryFile() { ::close(fd_); }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }

  private:
    int fd_;
};

}  // namespace qlora::fuzz
