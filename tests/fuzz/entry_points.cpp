#include "tests/fuzz/entry_points.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/formats/gguf.h"
#include "core/formats/json_cursor.h"
#include "core/formats/names.h"
#include "core/formats/safetensors.h"
#include "core/formats/shard_index.h"
#include "tests/fuzz/memory_file.h"

namespace qlora::fuzz {

namespace {

void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "broken promise: %s\n", what);
    std::abort();
}

// The code of the error that `action` throws; empty when it throws none.
template <typename Action>
std::string code_of(Action action) {
    try {
        action();
        return {};
    } catch (const Error& error) {
        require(!error.code().empty() && !error.message().empty(), "an error has a code and a message");
        require(error.message().size() < 4096, "a message is short");
        require(formats::valid_utf8(error.message()), "a message is UTF-8");
        return error.code();
    }
}

template <typename Action>
bool accepted(Action action) {
    return code_of(action).empty();
}

// Reads every byte.
void require_readable(std::span<const std::byte> bytes) {
    std::uint64_t total = 0;
    for (std::byte byte : bytes) total += static_cast<unsigned>(byte);
    require(total <= 255 * bytes.size(), "bytes are bytes");
}

}  // namespace

void read_safetensors(std::span<const std::byte> bytes) {
    MemoryFile memory(bytes);
    accepted([&] {
        formats::SafetensorsFile file(memory.path());
        std::size_t data = 0;
        for (const auto& tensor : file.tensors()) {
            require_readable(tensor.data);
            data += tensor.data.size();
            require(file.find(tensor.name) == &tensor, "find() gives each tensor");
            require(formats::tensor_bytes(tensor.dtype, tensor.shape) == tensor.data.size(),
                    "a tensor has its bytes");
            accepted([&] { formats::expect_finite(tensor, "fuzz"); });
        }
        require(data < bytes.size(), "the tensors share no bytes");
        file.check();
    });
}

void read_gguf(std::span<const std::byte> bytes) {
    MemoryFile memory(bytes);
    accepted([&] {
        formats::GgufFile file(memory.path());
        for (const auto& entry : file.metadata()) {
            const std::string& key = entry.first;
            require(file.value(key) == &entry.second, "value() gives each key");
            require(!describe(entry.second).empty(), "a value can be described");
            accepted([&] { file.integer(key, -1000, 1000); });
            accepted([&] { file.number(key, -1e9, 1e9); });
            accepted([&] { file.boolean(key, false); });
            accepted([&] { file.string(key); });
            accepted([&] { file.strings(key); });
            accepted([&] { file.numbers(key); });
            accepted([&] { file.floats(key); });
            accepted([&] { file.integers(key, 0, 255); });
        }
        for (const auto& tensor : file.tensors()) {
            require_readable(tensor.data);
            require(file.find(tensor.name) == &tensor, "find() gives each tensor");
            bool known = accepted([&] { file.at(tensor.name); });
            require(!known || formats::tensor_bytes(tensor.type, tensor.shape) == tensor.data.size(),
                    "a tensor has its bytes");
        }
        file.check();
    });
}

void read_shard_index(std::span<const std::byte> bytes) {
    MemoryFile memory(bytes);
    accepted([&] {
        auto index = formats::read_shard_index(memory.path());
        for (const auto& shard : index.shards)
            require(shard.find('/') == std::string::npos && shard != ".." && shard != ".",
                    "a shard is a plain name");
        for (const auto& [name, shard] : index.map) {
            require(shard < index.shards.size(), "a tensor has a shard");
            require(index.shard_of(name) != nullptr, "shard_of() gives each tensor");
        }
    });
}

void read_json(std::span<const std::byte> bytes) {
    std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    Json value;
    std::string refusal = code_of([&] { value = parse_json(text, "fuzz"); });
    bool tree = refusal.empty();
    if (tree) {
        require(!describe(value).empty(), "a value can be described");
        require(parse_json(value.dump(), "fuzz") == value, "what is written is read");
    }
    bool cursor = accepted([&] {
        formats::JsonCursor json(text, "fuzz", "fuzz");
        json.skip_value();
        json.end_of_text();
    });
    // The two readers agree, but for what one of them alone looks at.
    bool deep = std::ranges::count_if(text, [](char c) { return c == '[' || c == '{'; }) > 32;
    bool mark = text.starts_with("\xEF\xBB\xBF");
    bool large_number = text.size() > 300 || text.find_first_of("eE") != std::string::npos;
    require(!tree || cursor || deep || mark, "the cursor accepts what the tree does");
    require(!cursor || tree || refusal == "json.duplicate_key" || large_number,
            "the tree accepts what the cursor does");
}

}  // namespace qlora::fuzz
