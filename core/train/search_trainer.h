#pragma once
// What a search trains with: the engine of this program.

#include <string>

#include "core/search/run.h"

namespace qlora::train {

// train::run on a device and so many threads, as RunOptions takes them.
search::Trainer search_trainer(std::string device, int threads);

}  // namespace qlora::train
