#pragma once
// What benchmarks read of their own process.

#include <functional>
#include <map>
#include <string>

#include "core/recipe/recipe.h"

namespace bench {

// A line of /proc/self/status, in MiB: VmRSS, VmHWM.
double status_mib(const std::string& key);

// Throws qlora::Error for a name that is no precision.
qlora::recipe::Precision precision_named(const std::string& name);

// Reads "[MODEL] [--flag value ...]" and runs; a flag whose default is "-" takes no value, and is "" where given. Returns the
// exit code, with what went wrong on stderr.
int guarded(int argc, char** argv, std::string& model, std::map<std::string, std::string>& flags, const std::function<int()>& run);

}  // namespace bench
