#pragma once
// What a search trains with: the engine of this program.

#include <string>

#include "core/search/run.h"

namespace qlora::train {

// train::run on a device and so many threads, as RunOptions takes them.
search::Trainer search_trainer(std::string device, int threads);
// Throws input_error when the recipe's model or data is not there: told before anything is written.
void require_files(const recipe::Recipe& recipe);

}  // namespace qlora::train
