#pragma once
// Folders that programs share: held by one at a time, named after what is in them. Any thread.

#include <filesystem>
#include <string>

namespace qlora {

// Holds <folder>/.lock while it lives, where nobody else does; the system lets it go when a program is killed. Throws failure
// `code` naming the folder when it cannot be written.
class FolderLock {
  public:
    FolderLock(const std::filesystem::path& folder, const std::string& code);
    ~FolderLock();
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;
    bool taken() const { return descriptor_ >= 0; }  // false: another program has it

  private:
    int descriptor_ = -1;
};

// Whether some program holds a folder's lock.
bool is_locked(const std::filesystem::path& folder);

// Whether a folder holds anything but hidden files. Of none that can be read: false.
bool holds_files(const std::filesystem::path& folder);

// A temporary file or folder that a write beside its place begins with (file.h); and the removal of those that interrupted
// writes left in a folder.
bool is_leftover(const std::string& name);
void remove_leftovers(const std::filesystem::path& folder);

// Makes <parent>/<slug>-N with the first free N, absolute; no two programs get the same. The slug is `name` in small letters,
// digits and single hyphens, or `unnamed` where nothing is left of it. Throws failure `code` naming the folder.
std::filesystem::path make_numbered_folder(const std::filesystem::path& parent, const std::string& name, const std::string& unnamed,
                                           const std::string& code);

}  // namespace qlora
