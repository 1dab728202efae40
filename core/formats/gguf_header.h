#pragma once
// Everything of a GGUF file before its tensors' data. Internal to core/formats.

#include "core/formats/gguf.h"

namespace qlora::formats {

struct GgufHeader {
    std::uint32_t version = 0;
    std::uint64_t alignment = 32;
    std::vector<std::pair<std::string, GgufValue>> metadata;
    std::vector<GgufTensor> tensors;
    std::vector<std::uint32_t> keys, names;  // indices of metadata and tensors, ascending by text, none twice
};

// Checks the file whose bytes these are, and throws as GgufFile's constructor does. Spans point into `file`.
GgufHeader read_gguf_header(std::span<const std::byte> file, const std::string& where);

std::size_t element_bytes(GgufType type);  // 0 for strings and arrays

}  // namespace qlora::formats
