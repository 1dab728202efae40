#include "core/base/home.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <system_error>
#include <vector>

#include "core/base/error.h"

namespace qlora {

namespace fs = std::filesystem;

namespace {

fs::path from_environment(const char* variable) {
    const char* value = std::getenv(variable);
    return value == nullptr || *value == '\0' ? fs::path() : fs::absolute(value).lexically_normal();
}

fs::path user_home() {
    if (fs::path home = from_environment("HOME"); !home.empty()) return home;
    std::vector<char> buffer(16384);
    passwd entry{}, *found = nullptr;
    ::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr || found->pw_dir == nullptr || *found->pw_dir != '/')
        throw failure("home.unknown", "HOME", "the user has no home folder",
                      "Set QLORA_HOME to a folder you may write to.");
    return found->pw_dir;
}

// The XDG specification: a relative path in its variables is to be ignored.
fs::path xdg(const char* variable, const char* fallback) {
    const char* value = std::getenv(variable);
    fs::path base = value != nullptr && *value == '/' ? fs::path(value) : user_home() / fallback;
    return base / "qlora-studio";
}

fs::path home_or_xdg(const char* inside, const char* variable, const char* fallback) {
    fs::path home = from_environment("QLORA_HOME");
    if (home.empty()) return xdg(variable, fallback);
    return *inside == '\0' ? home : home / inside;
}

bool is_folder(const fs::path& path) {
    std::error_code ignored;
    return fs::is_directory(path, ignored);
}

// The source tree that the executable's build folder lies in; empty when it lies in none.
fs::path source_tree() {
    std::error_code ignored;
    fs::path folder = executable_folder();
    while (folder.has_relative_path()) {
        folder = folder.parent_path();
        if (is_folder(folder / "core" / "base") && fs::exists(folder / "CMakePresets.json", ignored))
            return folder;
    }
    return {};
}

}  // namespace

fs::path data_home() {
    return home_or_xdg("", "XDG_DATA_HOME", ".local/share");
}
fs::path config_home() {
    return home_or_xdg("config", "XDG_CONFIG_HOME", ".config");
}
fs::path cache_home() {
    return home_or_xdg("cache", "XDG_CACHE_HOME", ".cache");
}

fs::path executable_folder() {
    std::error_code error;
    fs::path executable = fs::read_symlink("/proc/self/exe", error);
    return error ? fs::current_path() : executable.parent_path();
}

fs::path resources_folder() {
    if (fs::path chosen = from_environment("QLORA_RESOURCES"); !chosen.empty()) return chosen;
    fs::path installed = executable_folder().parent_path() / "share" / "qlora-studio";
    if (is_folder(installed)) return installed;
    fs::path source = source_tree();
    return source.empty() ? source : source / "resources";
}

fs::path prepared_folder() {
    if (fs::path chosen = from_environment("QLORA_DEPS"); !chosen.empty()) return chosen;
    fs::path source = source_tree();
    return source.empty() || !is_folder(source / ".deps") ? fs::path() : source / ".deps";
}

}  // namespace qlora
