#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/base/json.h"
#include "core/formats/names.h"
#include "core/formats/safetensors.h"

namespace qlora::formats {

namespace {

// What the writer needs of either kind of tensor.
struct Entry {
    std::string_view name;
    DType dtype;
    std::span<const std::int64_t> shape;
    std::function<void(FileWriter&)> fill;
    std::uint64_t bytes = 0;
};

// Lets through exactly the bytes a tensor has.
class CountingWriter : public FileWriter {
  public:
    CountingWriter(FileWriter& writer, std::uint64_t expected) : writer_(writer), left_(expected) {}
    using FileWriter::write;
    void write(std::span<const std::byte> bytes) override {
        exact_ = exact_ && bytes.size() <= left_;
        if (!exact_) return;
        left_ -= bytes.size();
        writer_.write(bytes);
    }
    bool exact() const { return exact_ && left_ == 0; }

  private:
    FileWriter& writer_;
    std::uint64_t left_;
    bool exact_ = true;
};

class Writer {
  public:
    Writer(const std::filesystem::path& path, std::vector<Entry> entries,
           const std::map<std::string, std::string>& metadata)
        : path_(path), entries_(std::move(entries)), metadata_(metadata) {}

    void write() {
        check();
        std::string header = make_header();
        write_atomically(path_, [&](FileWriter& writer) {
            std::uint64_t length = header.size();
            writer.write(std::as_bytes(std::span(&length, 1)));
            writer.write(header);
            for (const Entry& entry : entries_) {
                CountingWriter counting(writer, entry.bytes);
                entry.fill(counting);
                if (!counting.exact())
                    fail(entry, "expected its data to be " + std::to_string(entry.bytes) + " bytes");
            }
        });
    }

  private:
    [[noreturn]] void fail(const Entry& entry, const std::string& message) const {
        throw failure("safetensors.write", path_.string(),
                      "the tensor " + in_quotes(entry.name) + ": " + message);
    }

    void check() {
        std::ranges::sort(entries_, {}, &Entry::name);
        for (std::size_t i = 0; i < entries_.size(); ++i) {
            Entry& entry = entries_[i];
            if (entry.name == "__metadata__" || entry.name.find('\0') != std::string_view::npos ||
                !valid_utf8(entry.name) || entry.name.size() > SafetensorsLimits::name_bytes)
                fail(entry, "its name does not fit the format");
            if (i > 0 && entries_[i - 1].name == entry.name) fail(entry, "its name is given twice");
            auto bytes = entry.shape.size() <= SafetensorsLimits::dimensions
                             ? tensor_bytes(entry.dtype, entry.shape)
                             : std::nullopt;
            if (!bytes) fail(entry, "its shape " + describe(entry.shape) + " does not fit the format");
            entry.bytes = *bytes;
        }
        for (const auto& [key, value] : metadata_)
            if (!valid_utf8(key) || !valid_utf8(value))
                throw failure("safetensors.write", path_.string(),
                              "the metadata " + in_quotes(key) + " is not UTF-8");
        // Stable: names stay ascending within a type.
        std::ranges::stable_sort(entries_, std::greater<>(), &Entry::dtype);
    }

    std::string make_header() const {
        OrderedJson header = OrderedJson::object();
        std::string text = "{";
        auto add = [&](std::string_view name, const OrderedJson& value) {
            text += (text.size() > 1 ? "," : "") + OrderedJson(name).dump() + ":" + value.dump();
        };
        if (!metadata_.empty()) add("__metadata__", OrderedJson(metadata_));
        std::uint64_t offset = 0;
        for (const Entry& entry : entries_) {
            auto end = checked_add(offset, entry.bytes);
            if (!end) fail(entry, "the tensors together pass 2^64 bytes");
            OrderedJson value;
            value["dtype"] = name(entry.dtype);
            value["shape"] = entry.shape;
            value["data_offsets"] = {offset, *end};
            add(entry.name, value);
            offset = *end;
        }
        text += "}";
        text.resize((text.size() + 7) / 8 * 8, ' ');
        if (text.size() > SafetensorsLimits::header_bytes || entries_.size() > SafetensorsLimits::tensors)
            throw failure("safetensors.write", path_.string(),
                          "expected fewer tensors: the header would be too large to read");
        return text;
    }

    const std::filesystem::path& path_;
    std::vector<Entry> entries_;
    const std::map<std::string, std::string>& metadata_;
};

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
    std::vector<Entry> entries;
    for (const TensorView& tensor : tensors)
        entries.push_back({tensor.name, tensor.dtype, tensor.shape,
                           [data = tensor.data](FileWriter& writer) { writer.write(data); }});
    Writer(path, std::move(entries), metadata).write();
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
    std::vector<Entry> entries;
    for (const TensorToWrite& tensor : tensors)
        entries.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.fill});
    Writer(path, std::move(entries), metadata).write();
}

}  // namespace qlora::formats
