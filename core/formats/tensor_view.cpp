#include "core/formats/tensor_view.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/formats/names.h"

namespace qlora::formats {

namespace {

// The index of the first value for which `broken` holds. Chunks are copied out (the data may lie at any
// address) and tested as a whole, so that the compiler can vectorize the passes that find nothing.
template <typename Bits, typename Broken>
std::optional<std::uint64_t> first_broken(std::span<const std::byte> data, Broken broken) {
    std::array<Bits, 4096 / sizeof(Bits)> chunk;
    std::uint64_t count = data.size() / sizeof(Bits);
    for (std::uint64_t begin = 0; begin < count; begin += chunk.size()) {
        auto n = static_cast<std::size_t>(std::min<std::uint64_t>(chunk.size(), count - begin));
        std::memcpy(chunk.data(), data.data() + begin * sizeof(Bits), n * sizeof(Bits));
        unsigned any = 0;
        for (std::size_t i = 0; i < n; ++i) any |= broken(chunk[i]);
        if (!any) continue;
        for (std::size_t i = 0; i < n; ++i)
            if (broken(chunk[i])) return begin + i;
    }
    return std::nullopt;
}

template <typename Bits>
std::optional<std::uint64_t> first_with_full_exponent(std::span<const std::byte> data, Bits exponent) {
    return first_broken<Bits>(data, [=](Bits bits) { return (bits & exponent) == exponent; });
}

std::optional<std::uint64_t> first_not_finite(DType dtype, std::span<const std::byte> data) {
    switch (dtype) {
        case DType::f64:
            return first_with_full_exponent<std::uint64_t>(data, 0x7FF0'0000'0000'0000);
        case DType::f32:
            return first_with_full_exponent<std::uint32_t>(data, 0x7F80'0000);
        case DType::bf16:
            return first_with_full_exponent<std::uint16_t>(data, 0x7F80);
        case DType::f16:
            return first_with_full_exponent<std::uint16_t>(data, 0x7C00);
        case DType::f8_e5m2:
            return first_with_full_exponent<std::uint8_t>(data, 0x7C);
        case DType::f8_e4m3:
            return first_with_full_exponent<std::uint8_t>(data, 0x7F);
        case DType::f8_e8m0:
            return first_with_full_exponent<std::uint8_t>(data, 0xFF);
        case DType::f8_e4m3fnuz:
        case DType::f8_e5m2fnuz:  // these spend "minus zero" on NaN and have no infinity
            return first_broken<std::uint8_t>(data, [](std::uint8_t bits) { return bits == 0x80; });
        case DType::c64: {
            auto part = first_with_full_exponent<std::uint32_t>(data, 0x7F80'0000);
            return part ? std::optional(*part / 2) : std::nullopt;
        }
        default:
            return std::nullopt;
    }
}

}  // namespace

std::int64_t TensorView::elements() const {
    return static_cast<std::int64_t>(checked_elements(shape).value_or(0));
}

std::string describe(std::span<const std::int64_t> shape) {
    std::string text = "[";
    for (std::int64_t dimension : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
    return text + "]";
}

void expect_dtype(const TensorView& tensor, DType dtype, const std::string& where) {
    if (tensor.dtype == dtype) return;
    throw input_error("tensor.dtype", where,
                      "the tensor " + in_quotes(tensor.name) + ": expected the type " +
                          std::string(name(dtype)) + ", got " + std::string(name(tensor.dtype)));
}

void expect_shape(const TensorView& tensor, std::span<const std::int64_t> shape, const std::string& where) {
    if (std::ranges::equal(tensor.shape, shape)) return;
    bool transposed = tensor.shape.size() == 2 && shape.size() == 2 && tensor.shape[0] == shape[1] &&
                      tensor.shape[1] == shape[0];
    throw input_error("tensor.shape", where,
                      "the tensor " + in_quotes(tensor.name) + ": expected the shape " + describe(shape) +
                          ", got " + describe(tensor.shape) + (transposed ? " (it is transposed)" : ""));
}

void expect_finite(const TensorView& tensor, const std::string& where) {
    if (auto index = first_not_finite(tensor.dtype, tensor.data))
        throw input_error("tensor.not_finite", where,
                          "the tensor " + in_quotes(tensor.name) + " holds NaN or infinity at element " +
                              std::to_string(*index) + " of " + std::to_string(tensor.elements()),
                          "The file is damaged, or the run that made it diverged: use another checkpoint.");
}

}  // namespace qlora::formats
