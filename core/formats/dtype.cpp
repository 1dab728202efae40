#include "core/formats/dtype.h"

#include <algorithm>
#include <array>

#include "core/base/checked.h"

namespace qlora::formats {

namespace {

struct Row {
    std::string_view name;
    int bits;
    bool floating;
};

// Indexed by DType.
constexpr std::array<Row, dtype_count> rows{{
    {"BOOL", 8, false},   {"F4", 4, true},          {"F6_E2M3", 6, true},     {"F6_E3M2", 6, true},
    {"U8", 8, false},     {"I8", 8, false},         {"F8_E5M2", 8, true},     {"F8_E4M3", 8, true},
    {"F8_E8M0", 8, true}, {"F8_E4M3FNUZ", 8, true}, {"F8_E5M2FNUZ", 8, true}, {"I16", 16, false},
    {"U16", 16, false},   {"F16", 16, true},        {"BF16", 16, true},       {"I32", 32, false},
    {"U32", 32, false},   {"F32", 32, true},        {"C64", 64, false},       {"F64", 64, true},
    {"I64", 64, false},   {"U64", 64, false},
}};

const Row& row(DType dtype) {
    return rows[static_cast<std::size_t>(dtype)];
}

}  // namespace

std::string_view name(DType dtype) {
    return row(dtype).name;
}

std::optional<DType> dtype_of(std::string_view name) {
    auto it = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == name; });
    return it == rows.end() ? std::nullopt : std::optional(static_cast<DType>(it - rows.begin()));
}

int bits(DType dtype) {
    return row(dtype).bits;
}

int bytes(DType dtype) {
    return row(dtype).bits / 8;
}

bool is_floating(DType dtype) {
    return row(dtype).floating;
}

std::optional<std::uint64_t> tensor_bytes(DType dtype, std::span<const std::int64_t> shape) {
    auto elements = checked_elements(shape);
    if (!elements) return std::nullopt;
    auto total_bits = checked_multiply(*elements, static_cast<std::uint64_t>(bits(dtype)));
    if (!total_bits || *total_bits % 8 != 0) return std::nullopt;
    return *total_bits / 8;
}

}  // namespace qlora::formats
