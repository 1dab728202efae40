#pragma once
// What a file is, told from its first bytes, so that the error for a wrong one says what to do.

#include <cstddef>
#include <filesystem>
#include <span>

namespace qlora::formats {

enum class FileKind { unknown, safetensors, gguf, numpy, pickle, lfs_pointer, web_page };

// `bytes`: the file, or as much of its beginning as there is. The name counts for pickles alone (.bin, .pt,
// .pth, .ckpt, .pkl, .pickle), whose bytes can look like anything.
FileKind file_kind(std::span<const std::byte> bytes, const std::filesystem::path& path);
bool has_pickle_name(const std::filesystem::path& path);

// Passes files of the wanted kind and unknown ones, whose reader then says what is wrong. Throws input_error
// "file.pickle" (opening a PyTorch pickle can run any code, so there is no fallback to it),
// "file.lfs_pointer", "file.web_page" or "file.kind".
void expect_kind(FileKind wanted, std::span<const std::byte> bytes, const std::filesystem::path& path);

}  // namespace qlora::formats
