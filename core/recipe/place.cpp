#include "core/recipe/place.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <system_error>

namespace qlora::recipe {

namespace fs = std::filesystem;

namespace {

bool looks_like_path(const std::string& value) {
    static constexpr std::array<std::string_view, 9> endings = {
        ".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".ndjson", ".safetensors", ".gguf"};
    return value.find('/') != std::string::npos || value.starts_with('.') ||
           std::any_of(endings.begin(), endings.end(), [&](auto ending) { return value.ends_with(ending); });
}

}  // namespace

std::string placed(const Field& field, const std::string& value, const fs::path& folder) {
    if (value.empty() || folder.empty()) return value;
    if (value.starts_with("~/")) {
        const char* home = std::getenv("HOME");
        return home == nullptr ? value : (fs::path(home) / value.substr(2)).lexically_normal().string();
    }
    fs::path there = (fs::absolute(folder) / value).lexically_normal();
    bool always = field.key == "output" || field.key == "method.adapter";
    std::error_code ignored;
    return always || looks_like_path(value) || fs::exists(there, ignored) ? there.string() : value;
}

}  // namespace qlora::recipe
