#pragma once
// What a dropped path is, by its looks alone: a folder or a .gguf file is a model, a table a data set.

#include <QString>

namespace qlora::ui {

enum class Dropped { nothing, model, data };
Dropped classify_drop(const QString& path);

}  // namespace qlora::ui
