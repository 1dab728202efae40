#pragma once
// The tensors of a model folder in Hugging Face layout: model.safetensors, or model.safetensors.index.json
// and the shards it names.

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/formats/safetensors.h"

namespace qlora::formats {

// Any thread may read; the views live as long as the object. Throws input_error: what SafetensorsFile throws,
// "shards.none" (no weights here), "shards.name" (a shard that is not a plain file name, or lies outside the
// folder), "shards.missing" (a file), "shards.unmapped" (a tensor in no shard), "shards.twice" (a tensor in
// two shards), "shards.index" (its JSON), "shards.limit" (too many shards), "file.pickle" (only pickles are
// here).
class ShardedTensors {
  public:
    // `path`: the folder, an index file, or one .safetensors file. `stem`: "model" for base models,
    // "adapter_model" for PEFT's folders.
    explicit ShardedTensors(const std::filesystem::path& path, const std::string& stem = "model");

    const std::filesystem::path& path() const noexcept { return path_; }  // as given
    std::span<const TensorView* const> tensors() const noexcept {
        return tensors_;
    }  // by shard, then file order
    const TensorView* find(std::string_view name) const noexcept;
    const TensorView& at(std::string_view name) const;  // throws input_error "tensor.missing"
    // at(), and expect_shape() and, when given, expect_dtype() of what it finds.
    const TensorView& at(std::string_view name, std::span<const std::int64_t> shape) const;
    const TensorView& at(std::string_view name, std::span<const std::int64_t> shape, DType dtype) const;
    const std::map<std::string, std::string>& metadata() const noexcept {
        return shards_.front()->metadata();
    }
    std::span<const std::unique_ptr<SafetensorsFile>> shards() const noexcept { return shards_; }
    std::uint64_t file_bytes() const noexcept;
    // What is odd but harmless: a wrong total_size, a tensor in a shard that the index does not name.
    const std::vector<std::string>& notices() const noexcept { return notices_; }

    void check() const;  // of every shard

  private:
    void open_index(const std::filesystem::path& folder, const std::filesystem::path& index);

    std::filesystem::path path_;
    std::vector<std::unique_ptr<SafetensorsFile>> shards_;
    std::vector<const TensorView*> tensors_;
    std::vector<const TensorView*> by_name_;
    std::vector<std::string> notices_;
};

}  // namespace qlora::formats
