#pragma once
// What the kernels' tests share: the targets they run on, inputs made as tests/golden/bitsandbytes_input.py
// makes them, and comparison with the golden files.

#include <QtTest>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/json.h"

// Rows of test data, one for each instruction set this CPU has; `use_target` then makes the kernels run on
// it.
void add_targets();
void use_target(qint64 target);
// Whether kernels that round to bf16 for products run on it, and products in bf16 themselves.
bool rounds_to_bf16(qint64 target);
bool multiplies_bf16(qint64 target);

// SplitMix64 of seed + i, and nearly normal numbers made from it.
std::uint64_t hash64(std::uint64_t seed, std::uint64_t i);
std::vector<float> normal(std::uint64_t seed, std::int64_t n, float scale = 1);

qlora::Json read_golden(const char* name);
std::string sha256(const void* data, std::size_t bytes);
template <class T>
std::string sha256(const std::vector<T>& values) {
    return sha256(values.data(), values.size() * sizeof(T));
}
template <class T>
std::string hex(std::span<const T> values) {
    return QByteArray(reinterpret_cast<const char*>(values.data()), values.size_bytes())
        .toHex()
        .toStdString();
}
std::vector<float> floats_of_hex(const std::string& hex);

// The first element that differs in its bits (two NaNs are equal), or -1.
std::int64_t first_difference(std::span<const float> a, std::span<const float> b);

// Lengths around the sizes of vectors and blocks.
inline constexpr std::int64_t odd_lengths[] = {1, 2, 31, 32, 33, 63, 64, 65, 127, 1000, 4097};
