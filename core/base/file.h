#pragma once
// Files read safely and written whole. Every function throws Error naming the path.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace qlora {

// A regular file mapped read-only. The bytes stay valid while the object lives. When another program cuts the
// file short, reading the lost pages gives zeros instead of a SIGBUS, and check() then throws: call it after
// having read what the file holds. Refuses folders, pipes and devices. Any thread may read.
class MappedFile {
  public:
    explicit MappedFile(const std::filesystem::path& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    const std::filesystem::path& path() const noexcept { return path_; }
    std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
    void check() const;

    // Gives back the memory of pages that have been read; reading them again costs a fault. `bytes` may be any part of any
    // live mapping; others are left alone. A page that only begins in `bytes` stays.
    static void forget(std::span<const std::byte> bytes) noexcept;

  private:
    std::filesystem::path path_;
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    int slot_ = -1;
};

// The whole of a regular file of at most `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::size_t limit = std::size_t{1} << 30);

// Receives the bytes of a file being written; throws Error (naming the path, the bytes written) on failure.
class FileWriter {
  public:
    virtual ~FileWriter() = default;
    virtual void write(std::span<const std::byte> bytes) = 0;
    void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
};

// Writes a temporary file beside `path`, fsyncs it, renames it over `path` and fsyncs the folder: afterwards
// the old or the new content is there, never a mix. `fill` writes the content. Creates no folders.
void write_atomically(const std::filesystem::path& path, const std::function<void(FileWriter&)>& fill);
void write_atomically(const std::filesystem::path& path, std::string_view content);

// Makes a folder whole or not at all: `fill` writes into a temporary sibling, which is then fsynced and renamed
// to `path`. An existing `path` is replaced.
void write_folder_atomically(const std::filesystem::path& path,
                             const std::function<void(const std::filesystem::path&)>& fill);

// Creates the folder and its parents, or throws Error saying why it cannot.
void create_folders(const std::filesystem::path& path);

// The seam for fault tests: called before each operation ("open", "write", "fsync", "rename") with its path;
// returns 0 to go on, or the errno value to fail with. Null (the default) never fails. Not for threads.
using IoFault = std::function<int(std::string_view operation, const std::filesystem::path& path)>;
void set_io_fault(IoFault fault);

}  // namespace qlora
