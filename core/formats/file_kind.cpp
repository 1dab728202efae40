#include "core/formats/file_kind.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "core/base/error.h"

namespace qlora::formats {

namespace {

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

const char* text_of(FileKind kind) {
    switch (kind) {
        case FileKind::safetensors:
            return "a safetensors file";
        case FileKind::gguf:
            return "a GGUF file";
        case FileKind::numpy:
            return "a NumPy file";
        case FileKind::pickle:
            return "a PyTorch pickle, which can run any code when it is opened";
        case FileKind::lfs_pointer:
            return "a Git LFS pointer, which only stands for the file";
        case FileKind::web_page:
            return "a web page";
        case FileKind::unknown:
            break;
    }
    return "something else";
}

}  // namespace

bool has_pickle_name(const std::filesystem::path& path) {
    constexpr std::array<std::string_view, 6> extensions{".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"};
    std::string extension = path.extension().string();
    std::ranges::transform(extension, extension.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return std::ranges::find(extensions, extension) != extensions.end();
}

FileKind file_kind(std::span<const std::byte> bytes, const std::filesystem::path& path) {
    std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                          std::min<std::size_t>(bytes.size(), 512));
    if (text.starts_with("GGUF")) return FileKind::gguf;
    if (text.starts_with("\x93NUMPY")) return FileKind::numpy;
    if (text.starts_with("version https://git-lfs")) return FileKind::lfs_pointer;
    if (text.size() > 8 && text[8] == '{') return FileKind::safetensors;
    // PyTorch's container is a ZIP archive; before release 1.6 it was a bare pickle of protocol 2.
    bool archive = text.starts_with("PK\x03\x04");
    bool bare = text.size() > 1 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
    if (archive || bare || has_pickle_name(path)) return FileKind::pickle;
    if (text.starts_with('<') && (contains(text, "<html") || contains(text, "<!DOCTYPE html")))
        return FileKind::web_page;
    return FileKind::unknown;
}

void expect_kind(FileKind wanted, std::span<const std::byte> bytes, const std::filesystem::path& path) {
    FileKind kind = file_kind(bytes, path);
    if (kind == wanted || kind == FileKind::unknown) return;
    auto refuse = [&](const char* code, const char* hint) {
        return input_error(code, path.string(),
                           std::string("expected ") + text_of(wanted) + ", got " + text_of(kind), hint);
    };
    switch (kind) {
        case FileKind::pickle:
            throw refuse("file.pickle",
                         "Look for a .safetensors version of the model, or load it in Python where you trust "
                         "it and save "
                         "it with save_pretrained(folder, safe_serialization=True).");
        case FileKind::lfs_pointer:
            throw refuse("file.lfs_pointer", "Fetch the file itself, with git lfs pull.");
        case FileKind::web_page:
            throw refuse("file.web_page", "The download went wrong: fetch the file again.");
        default:
            throw refuse("file.kind", "Choose another file.");
    }
}

}  // namespace qlora::formats
