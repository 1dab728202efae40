#include "process.h"

#include <cstdlib>
#include <fstream>

#include "core/base/error.h"

namespace bench {

double status_mib(const std::string& key) {
    std::ifstream in("/proc/self/status");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with(key + ":")) return std::atof(line.c_str() + key.size() + 1) / 1024;
    return 0;
}

qlora::recipe::Precision precision_named(const std::string& name) {
    using qlora::recipe::Precision;
    for (auto precision : {Precision::native, Precision::fp32, Precision::fp16, Precision::bf16, Precision::int8, Precision::nf4,
                           Precision::fp4, Precision::int4})
        if (qlora::recipe::name(precision) == name) return precision;
    throw qlora::input_error("bench.precision", "precision", "expected native, fp32, fp16, bf16, int8, nf4, fp4 or int4, got " + name);
}

}  // namespace bench
