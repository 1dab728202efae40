#include "core/formats/shard_index.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/formats/file_kind.h"
#include "core/formats/json_cursor.h"
#include "core/formats/names.h"
#include "core/formats/safetensors.h"

namespace qlora::formats {

namespace {

constexpr std::size_t most_bytes = std::size_t{64} << 20;
constexpr std::size_t most_shards = 512;
constexpr std::size_t most_tensors = 262'144;

class IndexReader {
  public:
    IndexReader(std::string_view text, const std::string& where)
        : json_(text, "shards.index", where), where_(where) {}

    ShardIndex read() {
        std::string key;
        bool seen_map = false, seen_metadata = false;
        json_.begin_object();
        while (json_.next_key(key, SafetensorsLimits::name_bytes)) {
            if (key == "weight_map") {
                if (std::exchange(seen_map, true)) json_.fail("the key \"weight_map\" appears twice");
                read_map();
            } else if (key == "metadata") {
                if (std::exchange(seen_metadata, true)) json_.fail("the key \"metadata\" appears twice");
                read_metadata();
            } else {
                json_.skip_value();
            }
        }
        json_.end_of_text();
        if (!seen_map || index_.map.empty())
            throw input_error("shards.index", where_,
                              "expected \"weight_map\", an object that names a shard for each tensor");
        sort();
        return std::move(index_);
    }

  private:
    void read_map() {
        std::string tensor, shard;
        json_.begin_object();
        while (json_.next_key(tensor, SafetensorsLimits::name_bytes)) {
            if (index_.map.size() == most_tensors)
                throw input_error("shards.limit", where_,
                                  "expected at most " + std::to_string(most_tensors) + " tensors, got more");
            if (json_.peek() != '"')
                json_.fail("the shard of the tensor " + in_quotes(tensor) + ": expected a file name");
            json_.string(shard, SafetensorsLimits::name_bytes);
            index_.map.emplace_back(tensor, number_of(shard));
        }
    }

    std::uint32_t number_of(const std::string& shard) {
        auto known = numbers_.find(shard);
        if (known != numbers_.end()) return known->second;
        expect_plain_name(shard, where_);
        if (has_pickle_name(shard)) expect_kind(FileKind::safetensors, {}, shard);
        if (index_.shards.size() == most_shards)
            throw input_error("shards.limit", where_,
                              "expected at most " + std::to_string(most_shards) + " shards, got more");
        auto number = static_cast<std::uint32_t>(index_.shards.size());
        index_.shards.push_back(shard);
        numbers_.emplace(shard, number);
        return number;
    }

    void read_metadata() {
        if (json_.peek() != '{') return json_.skip_value();
        std::string key;
        json_.begin_object();
        while (json_.next_key(key, SafetensorsLimits::name_bytes)) {
            char c = json_.peek();
            if (key != "total_size" || c < '0' || c > '9') {
                json_.skip_value();
                continue;
            }
            std::string_view text = json_.number();
            double bytes = 0;  // older transformers wrote 1.4e9
            bool read = std::from_chars(text.data(), text.data() + text.size(), bytes).ec == std::errc();
            if (read && bytes < 9e18) index_.total_size = static_cast<std::uint64_t>(bytes);
        }
    }

    void sort() {
        std::ranges::sort(index_.map);
        auto twice = std::ranges::adjacent_find(
            index_.map, {}, [](const auto& entry) { return std::string_view(entry.first); });
        if (twice != index_.map.end())
            throw input_error("shards.twice", where_,
                              "the index names the tensor " + in_quotes(twice->first) + " twice");
    }

    JsonCursor json_;
    const std::string& where_;
    ShardIndex index_;
    std::unordered_map<std::string, std::uint32_t> numbers_;
};

}  // namespace

const std::uint32_t* ShardIndex::shard_of(std::string_view tensor) const {
    auto it = std::ranges::lower_bound(map, tensor, {},
                                       [](const auto& entry) { return std::string_view(entry.first); });
    return it != map.end() && it->first == tensor ? &it->second : nullptr;
}

ShardIndex read_shard_index(const std::filesystem::path& path) {
    std::string text = read_file(path, most_bytes);
    return IndexReader(text, path.string()).read();
}

void expect_plain_name(const std::string& name, const std::string& where) {
    bool odd = name.empty() || name == "." || name == ".." || name.size() > 255;
    for (char c : name)
        odd = odd || c == '/' || c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (odd)
        throw input_error("shards.name", where,
                          "expected the plain name of a file in the same folder, got " + in_quotes(name),
                          "The model was not made by a program you should trust: fetch it from elsewhere.");
}

}  // namespace qlora::formats
