#pragma once
// The element types of a safetensors file. Specification: the format section of safetensors' README, release
// 0.8.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace qlora::formats {

// In the order in which Python's safetensors ranks them: it stores a file's tensors from the last of these to
// the first.
enum class DType : std::uint8_t {
    boolean,
    f4,
    f6_e2m3,
    f6_e3m2,
    u8,
    i8,
    f8_e5m2,
    f8_e4m3,
    f8_e8m0,
    f8_e4m3fnuz,
    f8_e5m2fnuz,
    i16,
    u16,
    f16,
    bf16,
    i32,
    u32,
    f32,
    c64,
    f64,
    i64,
    u64,
};
inline constexpr int dtype_count = 22;

std::string_view name(DType dtype);                    // as in the file: "BF16", "BOOL", "F8_E4M3"
std::optional<DType> dtype_of(std::string_view name);  // empty for a name that is none of them
int bits(DType dtype);                                 // of one element: 4 and 6 for the sub-byte types
int bytes(DType dtype);                                // of one element; 0 for the sub-byte types
bool is_floating(DType dtype);  // real floating point: may hold NaN or infinity, or is f4, f6
// The bytes of a tensor. Empty when a dimension is negative, a product passes 2^63 - 1, or the elements do
// not fill whole bytes.
std::optional<std::uint64_t> tensor_bytes(DType dtype, std::span<const std::int64_t> shape);

}  // namespace qlora::formats
