#pragma once
// The header of a safetensors file, read and made. Internal to core/formats.

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/formats/tensor_view.h"

namespace qlora::formats {

struct SafetensorsHeader {
    std::vector<TensorView> tensors;     // by place in the file; data within the bytes that were read
    std::vector<std::uint32_t> by_name;  // indices of tensors, names ascending, none twice
    std::map<std::string, std::string> metadata;
};

// Checks the whole header of the file whose bytes these are, and throws as SafetensorsFile's constructor
// does.
SafetensorsHeader read_header(std::span<const std::byte> file, const std::string& where);

}  // namespace qlora::formats
