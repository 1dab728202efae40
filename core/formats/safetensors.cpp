#include "core/formats/safetensors.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/formats/file_kind.h"
#include "core/formats/names.h"
#include "core/formats/safetensors_header.h"

namespace qlora::formats {

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
    expect_kind(FileKind::safetensors, file_.bytes(), path);
    SafetensorsHeader header = read_header(file_.bytes(), path.string());
    file_.check();
    tensors_ = std::move(header.tensors);
    by_name_ = std::move(header.by_name);
    metadata_ = std::move(header.metadata);
}

const TensorView* SafetensorsFile::find(std::string_view name) const noexcept {
    auto name_of = [&](std::uint32_t index) { return std::string_view(tensors_[index].name); };
    auto it = std::ranges::lower_bound(by_name_, name, {}, name_of);
    return it != by_name_.end() && name_of(*it) == name ? &tensors_[*it] : nullptr;
}

const TensorView& SafetensorsFile::at(std::string_view name) const {
    if (const TensorView* tensor = find(name)) return *tensor;
    throw input_error("tensor.missing", path().string(),
                      "expected the tensor " + in_quotes(name) + ", got none of that name");
}

}  // namespace qlora::formats
