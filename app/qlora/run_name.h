#pragma once
// Runs as people name them on the command line.

#include <filesystem>
#include <string>

namespace qlora::cli {

// The folder of a run given as a folder, or as its number or name in the index. Throws input_error
// "runs.not_found".
std::filesystem::path run_folder(const std::filesystem::path& home, const std::string& run);

}  // namespace qlora::cli
