#pragma once
// The one place for size arithmetic on numbers that come from files: no wrap-around, ever.

#include <cstdint>
#include <optional>
#include <span>

namespace qlora {

inline std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
    std::uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? std::nullopt : std::optional(sum);
}

inline std::optional<std::uint64_t> checked_multiply(std::uint64_t a, std::uint64_t b) {
    std::uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? std::nullopt : std::optional(product);
}

// The number of elements of a shape; empty when a dimension is negative or the product passes 2^63 - 1.
inline std::optional<std::uint64_t> checked_elements(std::span<const std::int64_t> shape) {
    std::uint64_t total = 1;
    for (std::int64_t dimension : shape) {
        if (dimension < 0) return std::nullopt;
        // Every partial product must fit, so that a later zero cannot hide an overflow.
        auto product = checked_multiply(total, dimension == 0 ? 1 : static_cast<std::uint64_t>(dimension));
        if (!product || *product > INT64_MAX) return std::nullopt;
        total = *product;
    }
    for (std::int64_t dimension : shape)
        if (dimension == 0) return 0;
    return total;
}

// The smallest multiple of `alignment` (a power of two, at least 1) not below `size`.
inline std::optional<std::uint64_t> checked_align(std::uint64_t size, std::uint64_t alignment) {
    auto padded = checked_add(size, alignment - 1);
    return padded ? std::optional(*padded & ~(alignment - 1)) : std::nullopt;
}

}  // namespace qlora
