#pragma once
// What a search runs, by the engine of this program.

#include "app/qlora/command.h"
#include "core/search/run.h"

namespace qlora::cli {

search::Trainer engine_trainer(const Context& context);
// Throws input_error when the recipe's model or data is not there: told before anything is written.
void require_files(const recipe::Recipe& recipe);

}  // namespace qlora::cli
