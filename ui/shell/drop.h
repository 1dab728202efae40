#pragma once
// What a dropped path is, by its looks alone: a model folder, a .gguf file, or a data set.

#include <QString>

namespace qlora::ui {

enum class Dropped { nothing, model, data };
Dropped classify_drop(const QString& path);

}  // namespace qlora::ui
