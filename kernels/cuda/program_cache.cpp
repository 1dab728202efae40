#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <string_view>

#include "kernels/cuda/nvrtc.h"

namespace qlora::kernels::cuda {

namespace fs = std::filesystem;

namespace {

// FNV-1a, 64 bit: it finds damage and tells sources apart, it is no defence against forgery.
std::uint64_t hashed(std::string_view bytes, std::uint64_t hash = 0xCBF29CE484222325) {
    for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001B3;
    return (hash ^ bytes.size()) * 0x100000001B3;
}

std::string hexadecimal(std::uint64_t value) {
    std::string text(16, '0');
    for (auto digit = text.rbegin(); digit != text.rend(); ++digit, value >>= 4)
        *digit = "0123456789abcdef"[value & 15];
    return text;
}

// Sixteen digits of the hash of what follows them.
constexpr std::size_t hash_digits = 16;

std::string whole_entry(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::string entry{std::istreambuf_iterator<char>(file), {}};
    if (entry.size() <= hash_digits) return {};
    std::string content = entry.substr(hash_digits);
    return entry.compare(0, hash_digits, hexadecimal(hashed(content))) == 0 ? content : std::string();
}

void write_entry(const fs::path& path, const std::string& content) {
    static std::atomic<int> count = 0;
    std::error_code ignored;
    fs::create_directories(path.parent_path(), ignored);
    const fs::path beside = path.string() + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
    std::ofstream file(beside, std::ios::binary);
    file << hexadecimal(hashed(content)) << content;
    file.close();
    if (file) fs::rename(beside, path, ignored);
    fs::remove(beside, ignored);
}

}  // namespace

fs::path ProgramCache::path_of(const Nvrtc& nvrtc, const Source& source, const std::string& architecture) const {
    std::uint64_t hash = hashed("");
    for (const char* option : Nvrtc::options()) hash = hashed(option, hash);
    for (const std::string_view part :
         {std::string_view(nvrtc.version()), std::string_view(architecture), std::string_view(source.text)})
        hash = hashed(part, hash);
    for (const Source& header : headers()) hash = hashed(header.text, hash);
    return folder_ / (std::string(source.name) + "-" + architecture + "-" + hexadecimal(hash) + ".bin");
}

std::string ProgramCache::compiled(const Nvrtc& nvrtc, const Source& source, const std::string& architecture) const {
    const fs::path path = path_of(nvrtc, source, architecture);
    if (auto found = whole_entry(path); !found.empty()) return found;
    std::string content = nvrtc.compile(source, architecture);
    write_entry(path, content);
    return content;
}

}  // namespace qlora::kernels::cuda
