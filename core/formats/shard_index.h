#pragma once
// model.safetensors.index.json: which shard holds which tensor. Internal to core/formats.
// Specification: what transformers' save_pretrained writes.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace qlora::formats {

struct ShardIndex {
    std::vector<std::string> shards;  // plain file names, in the order of their first mention
    std::vector<std::pair<std::string, std::uint32_t>>
        map;                                  // tensor name, index into shards; names ascending
    std::optional<std::uint64_t> total_size;  // bytes of all tensors, when the index says

    const std::uint32_t* shard_of(std::string_view tensor) const;  // null when the index does not name it
};

// Throws input_error "shards.index", "shards.name", "shards.limit" or "file.pickle".
ShardIndex read_shard_index(const std::filesystem::path& path);

// `name` must be a file's name and nothing else, on any system: no separators, drives, dot folders or control
// characters. Throws input_error "shards.name" naming `where`.
void expect_plain_name(const std::string& name, const std::string& where);

}  // namespace qlora::formats
