#pragma once
// NumPy's .npy files, for golden values and tools. Specification: numpy.lib.format, versions 1.0 to 3.0.

#include <filesystem>
#include <span>
#include <vector>

#include "core/formats/tensor_view.h"

namespace qlora::formats {

struct NumpyArray {
    DType dtype = DType::f32;  // boolean, i8 to u64, f16, f32 or f64
    std::vector<std::int64_t> shape;
    std::vector<std::byte> data;  // row-major, little-endian
};

// Reads C-order arrays of little-endian numbers; throws input_error "numpy.header", "numpy.dtype",
// "numpy.order", "numpy.shape" or "numpy.size". Pickled objects are refused.
NumpyArray read_numpy(const std::filesystem::path& path);

// Writes version 1.0, whole or not at all; throws failure "numpy.write" when the bytes do not fit shape and
// type.
void write_numpy(const std::filesystem::path& path, DType dtype, std::span<const std::int64_t> shape,
                 std::span<const std::byte> data);

}  // namespace qlora::formats
