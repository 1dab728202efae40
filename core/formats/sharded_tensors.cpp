#include "core/formats/sharded_tensors.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/formats/file_kind.h"
#include "core/formats/names.h"
#include "core/formats/shard_index.h"

namespace qlora::formats {

namespace fs = std::filesystem;

namespace {

bool is_within(const fs::path& path, const fs::path& folder) {
    auto [end, ignored] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return end == folder.end();
}

// The path of a file named by untrusted text, links followed. A link may lead to another file of the folder,
// or, in Hugging Face's download cache (<model>/snapshots/<revision>), to <model>/blobs, where that cache
// keeps the bytes.
fs::path resolve(const fs::path& folder, const std::string& name, const std::string& where) {
    expect_plain_name(name, where);
    std::error_code error;
    fs::path root = fs::canonical(folder, error);
    fs::path file = error ? fs::path() : fs::canonical(folder / name, error);
    if (error) return folder / name;  // absent or unreadable: opening it says so
    bool cached = root.parent_path().filename() == "snapshots" &&
                  is_within(file, root.parent_path().parent_path() / "blobs");
    if (!is_within(file, root) && !cached)
        throw input_error("shards.name", where,
                          "the file " + in_quotes(name) + " is a link that leads out of the folder",
                          "Put the file itself in its place.");
    return folder / name;
}

// Nothing to open: say whether it is because only pickles are here.
[[noreturn]] void refuse_folder(const fs::path& folder, const std::string& stem) {
    std::error_code ignored;
    for (fs::directory_iterator it(folder, ignored), end; it != end; it.increment(ignored))
        if (has_pickle_name(it->path()) && !it->path().filename().string().starts_with("training_args"))
            expect_kind(FileKind::safetensors, {}, it->path());
    throw input_error("shards.none", folder.string(),
                      "expected " + stem + ".safetensors or " + stem + ".safetensors.index.json, got neither",
                      "Choose the folder that holds the model's weights.");
}

void expect_none(const std::vector<std::string_view>& names, const char* code, const fs::path& index,
                 const std::string& what) {
    if (!names.empty()) throw input_error(code, index.string(), what + ": " + listed(names));
}

}  // namespace

ShardedTensors::ShardedTensors(const fs::path& path, const std::string& stem) : path_(path) {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) {
        if (path.extension() == ".json") {
            open_index(path.parent_path(), path);
        } else {
            shards_.push_back(std::make_unique<SafetensorsFile>(path));
        }
    } else if (std::string name = stem + ".safetensors"; fs::exists(path / name, ignored)) {
        shards_.push_back(std::make_unique<SafetensorsFile>(resolve(path, name, path.string())));
    } else if (name += ".index.json"; fs::exists(path / name, ignored)) {
        open_index(path, resolve(path, name, path.string()));
    } else {
        refuse_folder(path, stem);
    }
    if (tensors_.empty())
        for (const TensorView& tensor : shards_.front()->tensors()) tensors_.push_back(&tensor);
    by_name_ = tensors_;
    std::ranges::sort(by_name_, {}, &TensorView::name);
}

void ShardedTensors::open_index(const fs::path& folder, const fs::path& path) {
    ShardIndex index = read_shard_index(path);
    std::vector<std::string_view> missing;
    std::vector<fs::path> files;
    for (const std::string& shard : index.shards) {
        files.push_back(resolve(folder.empty() ? "." : folder, shard, path.string()));
        std::error_code ignored;
        if (!fs::exists(files.back(), ignored)) missing.push_back(shard);
    }
    expect_none(missing, "shards.missing", path, "expected the shards it names beside it, got no file for");
    for (const fs::path& file : files) shards_.push_back(std::make_unique<SafetensorsFile>(file));

    std::vector<std::string_view> unmapped, twice, unnamed;
    for (const auto& [name, shard] : index.map)
        if (!shards_[shard]->find(name)) unmapped.push_back(name);
    expect_none(unmapped, "shards.unmapped", path,
                "expected tensors in the shards that the index gives for them, got none for");

    std::uint64_t total = 0;
    for (std::uint32_t shard = 0; shard < shards_.size(); ++shard) {
        for (const TensorView& tensor : shards_[shard]->tensors()) {
            const std::uint32_t* home = index.shard_of(tensor.name);
            if (!home) {
                unnamed.push_back(tensor.name);
            } else if (*home != shard) {
                twice.push_back(tensor.name);
            } else {
                tensors_.push_back(&tensor);
                total += tensor.data.size();  // distinct parts of the shards: no overflow
            }
        }
    }
    expect_none(twice, "shards.twice", path, "expected each tensor in one shard, got two for");
    std::string name = path.filename().string();
    if (!unnamed.empty())
        notices_.push_back("The shards hold tensors that " + name + " does not name: " + listed(unnamed));
    if (index.total_size && *index.total_size != total)
        notices_.push_back(name + " gives a total size of " + std::to_string(*index.total_size) +
                           " bytes, its tensors have " + std::to_string(total) + ".");
}

const TensorView* ShardedTensors::find(std::string_view name) const noexcept {
    auto name_of = [](const TensorView* tensor) { return std::string_view(tensor->name); };
    auto it = std::ranges::lower_bound(by_name_, name, {}, name_of);
    return it != by_name_.end() && (*it)->name == name ? *it : nullptr;
}

const TensorView& ShardedTensors::at(std::string_view name) const {
    if (const TensorView* tensor = find(name)) return *tensor;
    throw input_error("tensor.missing", path_.string(),
                      "expected the tensor " + in_quotes(name) + ", got none of that name");
}

const TensorView& ShardedTensors::at(std::string_view name, std::span<const std::int64_t> shape) const {
    const TensorView& tensor = at(name);
    expect_shape(tensor, shape, path_.string());
    return tensor;
}

const TensorView& ShardedTensors::at(std::string_view name, std::span<const std::int64_t> shape,
                                     DType dtype) const {
    const TensorView& tensor = at(name, shape);
    expect_dtype(tensor, dtype, path_.string());
    return tensor;
}

std::uint64_t ShardedTensors::file_bytes() const noexcept {
    std::uint64_t total = 0;
    for (const auto& shard : shards_) total += shard->file_bytes();
    return total;
}

void ShardedTensors::check() const {
    for (const auto& shard : shards_) shard->check();
}

}  // namespace qlora::formats
