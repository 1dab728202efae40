#pragma once
// The Data card's facts of a recipe's data set: rows, parts, token counts, one row to show.

#include "core/base/control.h"
#include "ui/engine/engine.h"

namespace qlora::ui {

// Any thread; polls `control`. Throws what opening the table, guessing its roles and rendering its rows
// throw. Without a model there are rows but no token counts. Large tables are tokenized in part, and said so.
DataSummary summarize(const recipe::Recipe& recipe, const Control& control, const Progress& progress);

}  // namespace qlora::ui
