#pragma once
// Small files made byte by byte, for the tests of the readers.

#include <QByteArray>
#include <QTemporaryDir>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "core/base/error.h"
#include "tests/fuzz/memory_file.h"

namespace qlora::formats::testing {

// A folder that goes with the test.
class Folder {
  public:
    std::filesystem::path path() const { return folder_.path().toStdString(); }
    std::filesystem::path operator/(const std::string& name) const { return path() / name; }
    std::filesystem::path put(const std::string& name, const QByteArray& bytes) const {
        std::ofstream(*this / name, std::ios::binary).write(bytes.data(), bytes.size());
        return *this / name;
    }

  private:
    QTemporaryDir folder_;
};

inline QByteArray bytes_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return QByteArray::fromStdString({std::istreambuf_iterator<char>(file), {}});
}

// What `action` throws: its code and its message; both empty when it throws nothing.
struct Outcome {
    std::string code, message;
};

template <typename Action>
Outcome outcome_of(Action action) {
    try {
        action();
    } catch (const Error& error) {
        return {error.code(), error.message()};
    }
    return {};
}

inline std::span<const std::byte> span_of(const QByteArray& bytes) {
    return std::as_bytes(std::span(bytes.constData(), static_cast<std::size_t>(bytes.size())));
}

template <typename T>
QByteArray raw(T number) {
    return QByteArray(reinterpret_cast<const char*>(&number), sizeof(T));
}

// A safetensors file: the header's length (its own unless given), the header as it stands, `data` bytes.
inline QByteArray safetensors(const QByteArray& header, int data, std::optional<quint64> length = {}) {
    return raw<quint64>(length.value_or(static_cast<quint64>(header.size()))) + header +
           QByteArray(data, 'd');
}

// One tensor of its header; shape and offsets as JSON.
inline QByteArray entry(const QByteArray& name, const QByteArray& dtype, const QByteArray& shape,
                        const QByteArray& offsets) {
    return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
           offsets + "}";
}

// A GGUF file, written as the caller says, right or wrong.
class Gguf {
  public:
    explicit Gguf(quint32 version = 3) : bytes_("GGUF" + raw(version)) {}

    Gguf& counts(qint64 tensors, qint64 values) { return append(raw(tensors) + raw(values)); }
    Gguf& append(const QByteArray& bytes) {
        bytes_ += bytes;
        return *this;
    }
    Gguf& text(const QByteArray& text, std::optional<quint64> length = {}) {
        return append(raw<quint64>(length.value_or(static_cast<quint64>(text.size()))) + text);
    }
    // A metadata value: its key, its type's number, its bytes.
    Gguf& value(const QByteArray& key, quint32 type, const QByteArray& bytes) {
        return text(key).append(raw(type) + bytes);
    }
    Gguf& string(const QByteArray& key, const QByteArray& value) {
        return text(key).append(raw<quint32>(8)).text(value);
    }
    Gguf& array(const QByteArray& key, quint32 element, quint64 count, const QByteArray& bytes) {
        return value(key, 9, raw(element) + raw(count) + bytes);
    }
    // A tensor: dimensions as in the file, the row first.
    Gguf& tensor(const QByteArray& name, const QList<qint64>& dimensions, quint32 type, quint64 offset) {
        text(name).append(raw(static_cast<quint32>(dimensions.size())));
        for (qint64 dimension : dimensions) append(raw(dimension));
        return append(raw(type) + raw(offset));
    }
    // Pads to the alignment, then `bytes` of data.
    QByteArray data(int bytes, int alignment = 32) const {
        auto padding = (alignment - bytes_.size() % alignment) % alignment;
        return bytes_ + QByteArray(padding, '\0') + QByteArray(bytes, 'd');
    }
    operator QByteArray() const { return bytes_; }

  private:
    QByteArray bytes_;
};

inline QByteArray gguf_texts(const QList<QByteArray>& texts) {
    QByteArray bytes;
    for (const QByteArray& text : texts) bytes += raw<quint64>(static_cast<quint64>(text.size())) + text;
    return bytes;
}

}  // namespace qlora::formats::testing
