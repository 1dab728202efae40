#include "core/base/random.h"

#include <cmath>
#include <numbers>
#include <numeric>

namespace qlora {

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> k) {
    for (int round = 0; round < 10; ++round) {
        std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0], p1 = std::uint64_t{0xCD9E8D57} * c[2];
        c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(p1),
             static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(p0)};
        k[0] += 0x9E3779B9;
        k[1] += 0xBB67AE85;
    }
    return c;
}

RandomStream::RandomStream(std::uint64_t seed, std::string_view purpose) {
    std::uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
    for (unsigned char c : purpose) hash = (hash ^ c) * 0x100000001B3;
    state_ = {seed, hash, 0};
}

std::uint32_t RandomStream::next() {
    std::uint64_t block = state_.position / 4;
    auto word = static_cast<std::size_t>(state_.position++ % 4);
    auto lo = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
    return philox({lo(block), lo(block >> 32), lo(state_.stream), lo(state_.stream >> 32)},
                  {lo(state_.seed), lo(state_.seed >> 32)})[word];
}

double RandomStream::uniform() {
    std::uint64_t high = next() >> 5, low = next() >> 6;
    return static_cast<double>((high << 26) | low) * 0x1p-53;
}

std::uint64_t RandomStream::below(std::uint64_t bound) {
    std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    for (;;) {
        std::uint64_t value = (std::uint64_t{next()} << 32) | next();
        if (value < limit) return value % bound;
    }
}

double RandomStream::normal() {
    double u = 1.0 - uniform(), v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

std::vector<std::uint32_t> RandomStream::permutation(std::uint32_t n) {
    std::vector<std::uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    for (std::uint32_t i = n; i > 1; --i) std::swap(order[i - 1], order[below(i)]);
    return order;
}

}  // namespace qlora
