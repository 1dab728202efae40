#pragma once
// What a command of `qlora` is: its options, and what it does with them.

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string>

#include "app/qlora/output.h"
#include "core/base/control.h"

namespace qlora::cli {

// What every command is given.
struct Context {
    Output& output;
    Control& control;  // the user's Ctrl-C
    std::string device = "auto";
    int threads = 0;
};

// Carries out a command whose options have been read; gives the exit code or throws Error.
using Run = std::function<int(Context&)>;

struct Command {
    const char* name;
    const char* summary;
    Run (*define)(CLI::App& command);  // adds the options; the Run holds what they are set to
};

std::span<const Command> commands();

Run define_doctor(CLI::App& command);
Run define_models(CLI::App& command);
Run define_inspect(CLI::App& command);
Run define_tokenize(CLI::App& command);
Run define_logits(CLI::App& command);
Run define_generate(CLI::App& command);
Run define_plan(CLI::App& command);
Run define_augment(CLI::App& command);
Run define_train(CLI::App& command);
Run define_search(CLI::App& command);
Run define_lr_range(CLI::App& command);
Run define_evaluate(CLI::App& command);
Run define_quantize(CLI::App& command);
Run define_runs(CLI::App& command);

}  // namespace qlora::cli
