#pragma once
// The packed golden files of tests/golden/tokenizer.py.

#include <QByteArray>
#include <QFile>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace golden {

inline std::string path(const std::string& name) { return std::string(QLORA_SOURCE_DIR) + "/tests/golden/" + name; }

inline qlora::Json unpacked(const std::string& name) {
    QFile file(QString::fromStdString(path(name)));
    if (!file.open(QIODevice::ReadOnly)) throw std::runtime_error("cannot open " + name);
    return qlora::Json::parse(qUncompress(file.readAll()).toStdString());
}

inline const std::vector<std::string>& corpus() {
    static const auto lines = unpacked("tokenizer_corpus.json.z").get<std::vector<std::string>>();
    return lines;
}

inline std::vector<std::string> every(std::size_t step) {
    std::vector<std::string> some;
    for (std::size_t i = 0; i < corpus().size(); i += step) some.push_back(corpus()[i]);
    return some;
}

// zlib's crc32, going on from `before`.
inline std::uint32_t crc32(const void* data, std::size_t size, std::uint32_t before = 0) {
    std::uint32_t crc = ~before;
    for (std::size_t i = 0; i < size; ++i) {
        crc ^= static_cast<const unsigned char*>(data)[i];
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}
inline std::uint32_t sum(const std::vector<std::int32_t>& ids) { return crc32(ids.data(), ids.size() * 4); }
inline std::uint32_t sum(const std::string& text, std::uint32_t before = 0) {
    return crc32(text.data(), text.size(), before);
}

}  // namespace golden
