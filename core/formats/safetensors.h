#pragma once
// One safetensors file, read and written: eight bytes of header length, a JSON header, the tensors' bytes.
// Specification: the format section of safetensors' README, release 0.8, all of whose "must" are kept here.

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file.h"
#include "core/formats/tensor_view.h"

namespace qlora::formats {

// More than any released model's single file has, few enough that a hostile header costs neither time nor
// memory.
struct SafetensorsLimits {
    static constexpr std::uint64_t header_bytes = 100'000'000;  // the specification's own
    static constexpr std::size_t tensors = 131'072;
    static constexpr std::size_t dimensions = 8;
    static constexpr std::size_t name_bytes = 4096;
    static constexpr std::size_t text_bytes = std::size_t{32} << 20;  // names and metadata, in memory
};

// Memory-mapped: opening reads the header alone, and checks all of it before a tensor is offered. Any thread
// may read; the views' data lives as long as the object. Throws input_error: "safetensors.header" (length,
// start, UTF-8, JSON), "safetensors.entry" (a field of a tensor), "safetensors.dtype", "safetensors.shape",
// "safetensors.offsets", "safetensors.duplicate", "safetensors.metadata", "safetensors.limit", and
// expect_kind()'s codes ("file.pickle", ...) for another kind of file.
class SafetensorsFile {
  public:
    explicit SafetensorsFile(const std::filesystem::path& path);

    const std::filesystem::path& path() const noexcept { return file_.path(); }
    std::uint64_t file_bytes() const noexcept { return file_.bytes().size(); }
    // In the order of their bytes in the file, so that reading all of them reads the disk once from front to
    // back.
    std::span<const TensorView> tensors() const noexcept { return tensors_; }
    const TensorView* find(std::string_view name) const noexcept;  // null when absent
    const TensorView& at(std::string_view name) const;             // throws input_error "tensor.missing"
    const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }

    // Call after the last read of a view's data: throws when the file was cut short meanwhile.
    void check() const { file_.check(); }

  private:
    MappedFile file_;
    std::vector<TensorView> tensors_;
    std::vector<std::uint32_t> by_name_;  // indices of tensors_, names ascending
    std::map<std::string, std::string> metadata_;
};

// A tensor whose bytes are made while the file is written: `fill` writes exactly tensor_bytes(dtype, shape).
struct TensorToWrite {
    std::string name;
    DType dtype = DType::f32;
    std::vector<std::int64_t> shape;
    std::function<void(FileWriter&)> fill;
};

// Both write the file whole or not at all (write_atomically), copy no tensor, and give byte for byte what
// Python's safetensors writes: types of wide elements first, then names; the header padded with spaces to
// eight bytes. The file's own mapped tensors may be among `tensors`: the old bytes live on until their
// SafetensorsFile goes. Throw failure "safetensors.write" for a duplicate or unfit name, a wrong number of
// bytes, or metadata that is not UTF-8, before anything on disk has changed.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata = {});
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace qlora::formats
