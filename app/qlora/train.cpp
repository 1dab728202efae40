#include "app/qlora/command.h"
#include "app/qlora/machine.h"
#include "app/qlora/options.h"
#include "app/qlora/run_name.h"
#include "app/qlora/train_log.h"
#include "core/base/home.h"
#include "core/parallel/children.h"
#include "core/parallel/network.h"
#include "core/recipe/fields.h"
#include "core/runs/recorder.h"
#include "core/train/trainer.h"

namespace qlora::cli {

namespace fs = std::filesystem;

namespace {

struct TrainOptions {
    RecipeOptions recipe;
    std::string out, resume;
    int processes = 1;
};

// A run goes on as it began: only then is it the uninterrupted one, bit for bit.
void refuse_changes(const recipe::Recipe& began, const recipe::Recipe& wanted, const fs::path& folder) {
    std::string changed;
    for (const std::string& key : recipe::differences(began, wanted))
        if (key != "name" && key != "output") changed += (changed.empty() ? "" : ", ") + key;
    if (!changed.empty())
        throw input_error("resume.recipe", folder.string(),
                          "expected the recipe the run began with, got other values of " + changed,
                          "Leave them as they were, or start a new run with method.adapter set to the run's "
                          "adapter folder.");
}

recipe::Recipe resumed_recipe(const TrainOptions& options, const fs::path& folder) {
    recipe::Recipe began = recipe::load(folder / "recipe.json");
    recipe::Recipe wanted = options.recipe.file.empty() ? began : recipe::load(options.recipe.file);
    options.recipe.set_into(wanted);
    refuse_changes(began, wanted, folder);
    return began;
}

int exit_code(const train::Event& last, Context& context) {
    if (const auto* failed = std::get_if<train::Failed>(&last)) {
        auto error = failed->input ? input_error : failure;
        if (!context.output.json())
            return context.output.error(error(failed->code, failed->where, failed->message, failed->hint));
        return failed->input ? 2 : 1;  // the event has said it
    }
    const auto* finished = std::get_if<train::Finished>(&last);
    bool by_user = finished != nullptr && finished->reason.starts_with("stopped");
    return by_user ? stopped().exit_code() : 0;
}

void tell_without_effect(const recipe::Recipe& recipe, TrainLog& log) {
    std::string keys;
    for (const recipe::Field* field : recipe::without_effect(recipe)) keys += (keys.empty() ? "" : ", ") + field->key;
    if (!keys.empty()) log(train::Notice{"recipe.without_effect", "Set, and without effect in this run: " + keys + ".", {}});
}

// The threads of one process where nothing was said: the cores, shared among those of this machine.
int own_threads(int wanted, int processes) {
    if (wanted > 0 || processes == 1) return wanted;
    return std::max(1, this_machine().cores / processes);
}

// Any process but the first: it is told what to train, and tells only what goes wrong.
int follow(Context& context, const train::RunOptions& run) {
    const std::string who = "process " + std::to_string(run.processes.rank) + ": ";
    const train::Event last = train::run({}, run, context.control, [](const train::Event&) {});
    if (const auto* failed = std::get_if<train::Failed>(&last)) {
        context.output.note(who + failed->message);
        return failed->input ? 2 : 1;
    }
    return exit_code(last, context);
}

// The rest of the group, where this process is to start it itself.
std::unique_ptr<parallel::Children> start_others(const Context& context, int processes, train::RunOptions& run) {
    if (processes == 1) return nullptr;
    parallel::Listener listener;
    const auto port = listener.port();
    const auto all = parallel::on_this_machine(processes, listener.release(), port);
    run.processes = all.front();
    auto children = std::make_unique<parallel::Children>(
        std::vector<std::string>{"qlora", "train", "--device", context.device, "--threads", std::to_string(run.threads)},
        std::span(all).subspan(1));
    run.while_joining = [&children = *children] { children.check(); };
    return children;
}

// What became of the others is told when it ended the run. They may still wait for each other where this process ended early;
// then nothing is waited for.
void part(const Context& context, const train::Event& last, parallel::Children& others) {
    const auto* failed = std::get_if<train::Failed>(&last);
    const auto* finished = std::get_if<train::Finished>(&last);
    const bool lost = failed != nullptr && failed->code == "parallel.lost";
    if (!lost && (finished == nullptr || finished->reason == "stopped")) return;
    const std::string endings = others.wait(std::chrono::seconds(10));
    if (lost && !endings.empty()) context.output.note("Of the other processes, " + endings + ".");
}

int train(Context& context, const TrainOptions& options) {
    fs::path home = data_home();
    train::RunOptions run;
    run.resume = !options.resume.empty();
    run.device = context.device;
    run.processes = parallel::read_environment();
    if (!run.processes.alone() && options.processes > 1)
        throw input_error("usage", "--processes", "expected no --processes where a launcher has set WORLD_SIZE, got both",
                          "Leave --processes away, or unset RANK and WORLD_SIZE.");
    run.threads = own_threads(context.threads, std::max(options.processes, run.processes.local_size));
    if (run.processes.rank > 0) return follow(context, run);
    if (run.resume) run.run_folder = run_folder(home, options.resume);
    std::error_code absent;
    if (run.resume && !options.out.empty() && !fs::equivalent(options.out, run.run_folder, absent))
        throw input_error("usage", "--out", "expected the run to go on in its own folder " +
                          run.run_folder.string() + ", got " + options.out, "Leave --out away with --resume.");
    recipe::Recipe recipe = run.resume ? resumed_recipe(options, run.run_folder) : options.recipe.load();
    train::require_files(recipe);
    if (!run.resume)
        run.run_folder = !options.out.empty()     ? fs::absolute(options.out).lexically_normal()
                         : !recipe.output.empty() ? fs::path(recipe.output)
                                                  : runs::Store(home).new_folder(recipe::title(recipe));
    runs::Recorder recorder(home, recipe, run.run_folder, run.resume);
    TrainLog log(context.output, context.control);
    tell_without_effect(recipe, log);
    const auto others = start_others(context, options.processes, run);
    train::Event last = train::run(recipe, run, context.control, [&](const train::Event& event) {
        recorder(event);
        log(event);
    });
    if (others) part(context, last, *others);
    if (!recorder.problem().empty())
        context.output.note("The index of runs is not up to date: " + recorder.problem());
    return exit_code(last, context);
}

}  // namespace

Run define_train(CLI::App& command) {
    auto options = std::make_shared<TrainOptions>();
    command.add_option("RECIPE", options->recipe.file, "The recipe, a JSON file");
    command.add_option("--out", options->out, "The run's folder, instead of the recipe's output");
    command.add_option("--resume", options->resume, "Goes on with a run: its folder, number or name");
    command
        .add_option("--processes", options->processes,
                    "Trains in so many processes on this machine, each on its share of every batch; --threads is then of each")
        ->check(CLI::Range(1, 1024));
    add_set(command, options->recipe);
    return [options, &command](Context& context) {
        if (options->recipe.file.empty() && options->resume.empty() && parallel::read_environment().rank == 0)
            throw usage_error(command, "expected RECIPE or --resume RUN");
        return train(context, *options);
    };
}

}  // namespace qlora::cli
