#include "ui/shell/drop.h"

#include <QFileInfo>

namespace qlora::ui {

Dropped classify_drop(const QString& path) {
    const QFileInfo info(path);
    if (info.isDir()) return Dropped::model;  // one that is none says so on the Model card
    if (!info.isFile()) return Dropped::nothing;
    static const QStringList tables{"jsonl", "ndjson", "json", "csv", "tsv", "parquet", "txt", "md"};
    const QString suffix = info.suffix().toLower();
    if (suffix == QLatin1String("gguf")) return Dropped::model;
    return tables.contains(suffix) ? Dropped::data : Dropped::nothing;
}

}  // namespace qlora::ui
