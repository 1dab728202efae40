#include "ui/shell/drop.h"

#include <QDir>
#include <QFileInfo>

namespace qlora::ui {

Dropped classify_drop(const QString& path) {
    const QFileInfo info(path);
    if (info.isDir())
        return QDir(path).exists(QStringLiteral("config.json")) ? Dropped::model : Dropped::nothing;
    if (!info.isFile()) return Dropped::nothing;
    static const QStringList tables{"jsonl", "ndjson", "json", "csv", "tsv", "parquet", "txt", "md"};
    const QString suffix = info.suffix().toLower();
    if (suffix == QLatin1String("gguf")) return Dropped::model;
    return tables.contains(suffix) ? Dropped::data : Dropped::nothing;
}

}  // namespace qlora::ui
