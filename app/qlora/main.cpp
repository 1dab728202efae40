// The same engine as the window's, without one. Exit codes: 0 done, 1 failed while running, 2 the input is
// wrong, 130 stopped by the user.

#include <cstring>
#include <new>

#include "app/qlora/command.h"
#include "app/qlora/options.h"
#include "app/qlora/signals.h"
#include "core/base/out_of_memory.h"

namespace qlora::cli {

namespace {

// Before the options are read, so that an error in them is told in the way they ask for.
bool wants_json(int count, char** arguments) {
    for (int i = 1; i < count && std::strcmp(arguments[i], "--") != 0; ++i)
        if (std::strcmp(arguments[i], "--json") == 0) return true;
    return false;
}

// What is wrong with the line, told about the command that it was meant for.
Error line_error(const CLI::App& app, const CLI::ParseError& error, int count, char** arguments) {
    auto chosen = app.get_subcommands();
    if (!chosen.empty()) return usage_error(*chosen.front(), error.what());
    if (count > 1 && arguments[1][0] != '-')
        return usage_error(app, std::string("there is no command \"") + arguments[1] + "\"");
    return usage_error(app, count > 1 ? error.what() : "expected a command");
}

int run(int count, char** arguments, Output& output) {
    CLI::App app("Fine-tunes language models on one computer: LoRA adapters over a base in 4 bit.", "qlora");
    Control control;
    Context context{output, control};
    bool json = false;
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string("qlora ") + QLORA_VERSION);
    app.add_flag("--json", json, "Answers in JSON on stdout: one object, or one a line for a stream");
    app.add_option("--threads", context.threads, "CPU threads; 0 for all cores")->check(CLI::Range(0, 1024));
    app.add_option("--device", context.device, "auto, cpu, cuda or cuda:N")->check(device_name());
    app.footer(
        "--json, --threads and --device may follow any command.\n"
        "MODEL is a folder in Hugging Face layout, a .gguf file or a name from 'qlora models'.");

    std::vector<std::pair<CLI::App*, Run>> runs;
    for (const Command& command : commands()) {
        CLI::App* subcommand = app.add_subcommand(command.name, command.summary);
        subcommand->fallthrough();
        runs.emplace_back(subcommand, command.define(*subcommand));
    }
    try {
        app.parse(count, arguments);
    } catch (const CLI::CallForHelp&) {
        output.answer({{"help", app.help()}}, app.help());
        return 0;
    } catch (const CLI::CallForVersion& version) {
        output.answer({{"version", QLORA_VERSION}}, version.what());
        return 0;
    } catch (const CLI::ParseError& error) {
        throw line_error(app, error, count, arguments);
    }
    SignalWatch signals(control);
    for (const auto& [subcommand, run] : runs)
        if (subcommand->parsed()) return run(context);
    return 0;
}

// The first line: LibTorch's messages go on with a trace of its own functions.
std::string first_line(const char* text) {
    return std::string(text, std::strcspn(text, "\n"));
}

int guarded(int count, char** arguments) {
    Output output(wants_json(count, arguments));
    try {
        return run(count, arguments, output);
    } catch (const Error& error) {
        return output.error(error);
    } catch (const std::bad_alloc&) {
        return output.error(failure("memory", "qlora", "there is not enough memory",
                                    "Close other programs, or choose a smaller model, batch or precision."));
    } catch (const std::exception& error) {
        if (const auto memory = out_of_device_memory(error)) return output.error(*memory);
        return output.error(
            failure("internal", "qlora", first_line(error.what()),
                    "This is a fault of the program: please report it with the command you gave."));
    }
}

}  // namespace

}  // namespace qlora::cli

int main(int count, char** arguments) {
    return qlora::cli::guarded(count, arguments);
}
