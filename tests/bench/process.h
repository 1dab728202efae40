#pragma once
// What benchmarks read of their own process.

#include <string>

#include "core/recipe/recipe.h"

namespace bench {

// A line of /proc/self/status, in MiB: VmRSS, VmHWM.
double status_mib(const std::string& key);

// Throws qlora::Error for a name that is no precision.
qlora::recipe::Precision precision_named(const std::string& name);

}  // namespace bench
