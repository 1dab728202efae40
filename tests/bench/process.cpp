#include "process.h"

#include <cstdio>
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

int guarded(int argc, char** argv, std::string& model, std::map<std::string, std::string>& flags, const std::function<int()>& run) {
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const auto flag = flags.find(argument);
        if (!argument.starts_with("--")) model = argument;
        else if (flag != flags.end() && flag->second == "-") flag->second = "";
        else if (flag != flags.end() && i + 1 < argc) flag->second = argv[++i];
        else {
            std::fprintf(stderr, "unknown flag %s, or one without its value\n", argv[i]);
            return 2;
        }
    }
    try {
        return run();
    } catch (const qlora::Error& error) {
        std::fprintf(stderr, "%s\n%s\n", error.what(), error.hint().c_str());
        return error.exit_code();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}

}  // namespace bench
