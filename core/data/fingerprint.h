#pragma once
// MurmurHash3, x64 128-bit variant (Austin Appleby, 2011): quick, and the same on every little-endian
// machine. Against accidents, not against attackers.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace qlora::data::detail {

struct Hash128 {
    std::uint64_t low = 0, high = 0;
    bool operator==(const Hash128&) const = default;
};

Hash128 murmur3(std::span<const std::byte> bytes, Hash128 seed = {});
std::string hex(Hash128 hash);  // 32 digits

}  // namespace qlora::data::detail
