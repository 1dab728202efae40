#pragma once
// What the tests of data share: files written from readable text, and errors as values.

#include <QByteArray>
#include <QTemporaryDir>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "core/base/error.h"
#include "core/data/table.h"

namespace fixtures {

class Folder {
  public:
    std::filesystem::path write(const std::string& name, std::string_view content) const {
        auto path = this->path(name);
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }
    std::filesystem::path path(const std::string& name) const {
        return std::filesystem::path(folder_.path().toStdString()) / name;
    }

  private:
    QTemporaryDir folder_;
};

// What `work` throws, if it throws.
template <typename Work>
std::optional<qlora::Error> error_of(Work&& work) {
    try {
        work();
    } catch (const qlora::Error& error) {
        return error;
    }
    return std::nullopt;
}

template <typename Work>
std::string code_of(Work&& work) {
    auto error = error_of(work);
    return error ? error->code() : "";
}

// All rows, as one line of JSON.
inline std::string dump(const qlora::data::Table& table) {
    qlora::Json rows = qlora::Json::array();
    for (std::size_t row = 0; row < table.rows(); ++row) rows.push_back(table.row(row));
    return rows.dump();
}

inline std::string columns(const qlora::data::Table& table) {
    std::string list;
    for (const auto& column : table.columns())
        list += (list.empty() ? "" : " ") + column.name + ":" + std::string(qlora::data::name(column.kind));
    return list;
}

}  // namespace fixtures
