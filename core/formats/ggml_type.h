#pragma once
// The tensor types of GGUF files, numbered as in the file. Specification: ggml's gguf.md and ggml.h.

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace qlora::formats {

// A file may hold numbers that have no name here; block_shape() is then empty.
enum class GgmlType : std::uint32_t {
    f32 = 0,
    f16 = 1,
    q4_0 = 2,
    q4_1 = 3,
    q5_0 = 6,
    q5_1 = 7,
    q8_0 = 8,
    q8_1 = 9,
    q2_k = 10,
    q3_k = 11,
    q4_k = 12,
    q5_k = 13,
    q6_k = 14,
    q8_k = 15,
    iq2_xxs = 16,
    iq2_xs = 17,
    iq3_xxs = 18,
    iq1_s = 19,
    iq4_nl = 20,
    iq3_s = 21,
    iq2_s = 22,
    iq4_xs = 23,
    i8 = 24,
    i16 = 25,
    i32 = 26,
    i64 = 27,
    f64 = 28,
    iq1_m = 29,
    bf16 = 30,
    tq1_0 = 34,
    tq2_0 = 35,
    mxfp4 = 39,
    nvfp4 = 40,
    q1_0 = 41,
};

// `elements` consecutive elements of a row are stored together in `bytes`.
struct BlockShape {
    std::int64_t elements = 1, bytes = 0;
};

std::optional<BlockShape> block_shape(GgmlType type);
std::string name(GgmlType type);  // "Q4_K"; "type 97" for a number without a name
// The bytes of a tensor of this shape (row-major: the last dimension is the row). Empty when the type is
// unknown, a row is no whole number of blocks, a dimension is negative, or a product passes 2^63 - 1.
std::optional<std::uint64_t> tensor_bytes(GgmlType type, std::span<const std::int64_t> shape);

}  // namespace qlora::formats
