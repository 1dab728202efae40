#include "core/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "core/base/error.h"

namespace qlora {

namespace fs = std::filesystem;

namespace {

IoFault io_fault;

[[noreturn]] void fail(const char* action, const fs::path& path, int error) {
    std::string hint;
    if (error == ENOSPC || error == EDQUOT) hint = "Free some space or choose another folder, then try again.";
    if (error == EACCES || error == EROFS || error == EPERM) hint = "Choose a folder you may write to.";
    if (error == ENOENT) hint = "Check the path.";
    throw failure("file.io", path.string(), std::string("cannot ") + action + ": " + errno_text(error), hint);
}

void check_fault(const char* operation, const fs::path& path) {
    if (!io_fault) return;
    if (int error = io_fault(operation, path)) fail(operation, path, error);
}

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

  private:
    int fd_;
};

void sync_folder(const fs::path& folder) {
    check_fault("fsync", folder);
    Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0 || ::fsync(fd.get()) != 0) fail("fsync the folder", folder, errno);
}

void rename_into_place(const fs::path& from, const fs::path& to) {
    check_fault("rename", to);
    if (::rename(from.c_str(), to.c_str()) != 0) fail("rename to", to, errno);
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

fs::path temporary_name(const fs::path& path) {
    static std::atomic<unsigned> serial{0};
    return folder_of(path) / ("." + path.filename().string() + ".tmp-" + std::to_string(::getpid()) + "-" +
                              std::to_string(serial++));
}

class DescriptorWriter : public FileWriter {
  public:
    DescriptorWriter(int fd, const fs::path& path) : fd_(fd), path_(path) {}
    void write(std::span<const std::byte> bytes) override {
        check_fault("write", path_);
        while (!bytes.empty()) {
            ssize_t n = ::write(fd_, bytes.data(), std::min<std::size_t>(bytes.size(), 1 << 24));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) fail("write to", path_, errno);
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
    }

  private:
    int fd_;
    const fs::path& path_;
};

// Removes what was left half-done, whatever happened.
class Leftover {
  public:
    explicit Leftover(fs::path path) : path_(std::move(path)) {}
    ~Leftover() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    Leftover(const Leftover&) = delete;
    Leftover& operator=(const Leftover&) = delete;
    void keep() { path_.clear(); }

  private:
    fs::path path_;
};

}  // namespace

void set_io_fault(IoFault fault) { io_fault = std::move(fault); }

std::string read_file(const fs::path& path, std::size_t limit) {
    // O_NONBLOCK: opening a pipe must not wait for a writer.
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.get() < 0)
        throw input_error(errno == ENOENT ? "file.not_found" : "file.open", path.string(),
                          "cannot open: " + errno_text(errno), "Check the path and its permissions.");
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) fail("read", path, errno);
    if (!S_ISREG(info.st_mode))
        throw input_error("file.not_regular", path.string(),
                          S_ISDIR(info.st_mode) ? "expected a file, got a folder" : "expected a regular file");
    if (static_cast<std::uint64_t>(info.st_size) > limit)
        throw input_error("file.too_large", path.string(),
                          "expected at most " + std::to_string(limit) + " bytes, got " + std::to_string(info.st_size));
    std::string content(static_cast<std::size_t>(info.st_size), '\0');
    std::size_t done = 0;
    while (done < content.size()) {
        ssize_t n = ::read(fd.get(), content.data() + done, content.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw input_error("file.read", path.string(), "cannot read: " + errno_text(errno));
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
    }
    content.resize(done);
    return content;
}

void write_atomically(const fs::path& path, const std::function<void(FileWriter&)>& fill) {
    fs::path temporary = temporary_name(path);
    check_fault("open", path);
    Descriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (fd.get() < 0) fail("create", path, errno);
    Leftover leftover(temporary);
    DescriptorWriter writer(fd.get(), path);
    fill(writer);
    check_fault("fsync", path);
    if (::fsync(fd.get()) != 0) fail("fsync", path, errno);
    if (::close(fd.release()) != 0) fail("close", path, errno);
    rename_into_place(temporary, path);
    leftover.keep();
    sync_folder(folder_of(path));
}

void write_atomically(const fs::path& path, std::string_view content) {
    write_atomically(path, [&](FileWriter& writer) { writer.write(content); });
}

void write_folder_atomically(const fs::path& path, const std::function<void(const fs::path&)>& fill) {
    fs::path temporary = temporary_name(path);
    create_folders(temporary);
    Leftover leftover(temporary);
    fill(temporary);
    for (const auto& entry : fs::recursive_directory_iterator(temporary))
        if (entry.is_directory()) sync_folder(entry.path());
    sync_folder(temporary);
    if (fs::exists(path)) {
        // Two renames: between them the old folder is still whole beside its place, and restored on failure.
        fs::path old = temporary_name(path);
        rename_into_place(path, old);
        Leftover remove_old(old);
        try {
            rename_into_place(temporary, path);
        } catch (...) {
            std::error_code ignored;
            fs::rename(old, path, ignored);
            remove_old.keep();
            throw;
        }
    } else {
        rename_into_place(temporary, path);
    }
    leftover.keep();
    sync_folder(folder_of(path));
}

void create_folders(const fs::path& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error || !fs::is_directory(path))
        throw failure("file.folder", path.string(),
                      "cannot create the folder: " + (error ? error.message() : "a file of that name is in the way"),
                      "Choose a folder you may write to.");
}

}  // namespace qlora
