#pragma once
// What a piece of memory is for. The same tags, in this order, in the engine, the bars, the charts and the docs.

#include <array>
#include <cstdint>
#include <string_view>

namespace qlora {

enum class MemoryTag : std::uint8_t { weights, adapters, gradients, optimizer, activations, scratch, other };
inline constexpr std::size_t memory_tag_count = 7;
inline constexpr std::array<std::string_view, memory_tag_count> memory_tag_names = {
    "weights", "adapters", "gradients", "optimizer", "activations", "scratch", "other"};

// Bytes by tag.
struct MemoryBytes {
    std::array<std::int64_t, memory_tag_count> by_tag{};
    std::int64_t& operator[](MemoryTag tag) { return by_tag[static_cast<std::size_t>(tag)]; }
    std::int64_t operator[](MemoryTag tag) const { return by_tag[static_cast<std::size_t>(tag)]; }
    std::int64_t total() const {
        std::int64_t sum = 0;
        for (auto bytes : by_tag) sum += bytes;
        return sum;
    }
    bool operator==(const MemoryBytes&) const = default;
};

}  // namespace qlora
