#include "core/base/folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "core/base/error.h"

namespace qlora {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t longest_slug = 48;
constexpr const char* choose_another = "Choose a folder you may write to.";

std::string slug(const std::string& name) {
    std::string out;
    for (char c : name) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (plain) out += c;
        else if (!out.empty() && out.back() != '-') out += '-';
        if (out.size() == longest_slug) break;
    }
    while (out.ends_with('-')) out.pop_back();
    return out;
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder, const std::string& code) {
    descriptor_ = ::open((folder / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) throw failure(code, folder.string(), "cannot write there: " + errno_text(errno), choose_another);
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
    ::close(descriptor_);
    descriptor_ = -1;
}

FolderLock::~FolderLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

bool is_locked(const fs::path& folder) {
    const int lock = ::open((folder / ".lock").c_str(), O_RDONLY | O_CLOEXEC);
    if (lock < 0) return false;
    const bool held = ::flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(lock);
    return held;
}

bool holds_files(const fs::path& folder) {
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        if (!entry->path().filename().string().starts_with('.')) return true;
    return false;
}

bool is_leftover(const std::string& name) { return name.starts_with('.') && name.find(".tmp-") != std::string::npos; }

void remove_leftovers(const fs::path& folder) {
    std::error_code error;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder, error))
        if (is_leftover(entry.path().filename())) found.push_back(entry.path());
    for (const fs::path& path : found) fs::remove_all(path, error);
}

fs::path make_numbered_folder(const fs::path& parent, const std::string& name, const std::string& unnamed, const std::string& code) {
    const std::string left = slug(name);
    const fs::path stem = fs::absolute(parent / (left.empty() ? unnamed : left));
    for (int number = 1;; ++number) {
        const fs::path folder = stem.string() + "-" + std::to_string(number);
        if (::mkdir(folder.c_str(), 0777) == 0) return folder;
        if (errno != EEXIST) throw failure(code, folder.string(), "cannot create the folder: " + errno_text(errno), choose_another);
    }
}

}  // namespace qlora
