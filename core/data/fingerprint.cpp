#include "core/data/fingerprint.h"

#include <bit>
#include <cstring>

namespace qlora::data::detail {

namespace {

constexpr std::uint64_t c1 = 0x87C37B91114253D5, c2 = 0x4CF5AD432745937F;

std::uint64_t mix_low(std::uint64_t k) {
    return std::rotl(k * c1, 31) * c2;
}
std::uint64_t mix_high(std::uint64_t k) {
    return std::rotl(k * c2, 33) * c1;
}

std::uint64_t finish(std::uint64_t k) {
    k = (k ^ (k >> 33)) * 0xFF51AFD7ED558CCD;
    k = (k ^ (k >> 33)) * 0xC4CEB9FE1A85EC53;
    return k ^ (k >> 33);
}

std::uint64_t load(const std::byte* from, std::size_t bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, bytes);
    return word;
}

}  // namespace

Hash128 murmur3(std::span<const std::byte> bytes, Hash128 seed) {
    std::uint64_t h1 = seed.low, h2 = seed.high;
    std::size_t blocks = bytes.size() / 16;
    const std::byte* at = bytes.data();
    for (std::size_t i = 0; i < blocks; ++i, at += 16) {
        h1 = (std::rotl(h1 ^ mix_low(load(at, 8)), 27) + h2) * 5 + 0x52DCE729;
        h2 = (std::rotl(h2 ^ mix_high(load(at + 8, 8)), 31) + h1) * 5 + 0x38495AB5;
    }
    std::size_t rest = bytes.size() % 16;
    if (rest > 8) h2 ^= mix_high(load(at + 8, rest - 8));
    if (rest > 0) h1 ^= mix_low(load(at, rest < 8 ? rest : 8));
    h1 ^= bytes.size();
    h2 ^= bytes.size();
    h1 += h2;
    h2 += h1;
    h1 = finish(h1);
    h2 = finish(h2);
    h1 += h2;
    h2 += h1;
    return {h1, h2};
}

std::string hex(Hash128 hash) {
    std::string text;
    for (std::uint64_t word : {hash.high, hash.low})
        for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(word >> shift) & 15];
    return text;
}

}  // namespace qlora::data::detail
