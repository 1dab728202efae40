#pragma once
// A tensor as it lies in memory that someone else owns: a mapped file, or what is about to be written to one.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/formats/dtype.h"

namespace qlora::formats {

// Row-major, little-endian. `data` lives as long as its owner and may begin at any address (old files pad
// nothing): copy it, or check its alignment, before reading it as anything wider than a byte.
struct TensorView {
    std::string name;
    DType dtype = DType::f32;
    std::vector<std::int64_t> shape;
    std::span<const std::byte> data;

    std::int64_t elements() const;
};

std::string describe(std::span<const std::int64_t> shape);  // "[576, 1536]", "[]" for a scalar

// Throw input_error "tensor.dtype" or "tensor.shape" naming `where` (the file), the tensor, expected and got.
void expect_dtype(const TensorView& tensor, DType dtype, const std::string& where);
void expect_shape(const TensorView& tensor, std::span<const std::int64_t> shape, const std::string& where);

// Throws input_error "tensor.not_finite" naming the first element (its index) that is NaN or infinite. Reads
// all of the data; passes every tensor whose type cannot hold such a value.
void expect_finite(const TensorView& tensor, const std::string& where);

}  // namespace qlora::formats
