#include "app/qlora/command.h"
#include "app/qlora/options.h"
#include "app/qlora/search_log.h"
#include "core/base/home.h"
#include "core/train/search_trainer.h"
#include "core/train/trainer.h"

namespace qlora::cli {

namespace fs = std::filesystem;

namespace {

struct SearchOptions {
    std::string what, out, strategy, metric, goal;
    std::vector<std::string> assignments, vary;
    std::int64_t runs = 0, seed = -1, eta = 0;
    double budget_steps = 0, budget_epochs = 0;
    bool no_baseline = false;

    bool describe_anything() const {
        return !strategy.empty() || !metric.empty() || !goal.empty() || !assignments.empty() || !vary.empty() || runs > 0 || seed >= 0 ||
               eta > 0 || budget_steps > 0 || budget_epochs > 0 || no_baseline;
    }
};

// A recipe's file with --vary becomes a search; a search's own file is taken as it is; the other options go over both.
search::Search described(const SearchOptions& options) {
    const fs::path file = options.what;
    Json json = read_json_file(file, {.bytes = 1 << 20, .depth = 24});
    if (!json.is_object() || !(json.contains("space") || json.contains("recipe"))) {
        if (options.vary.empty())
            throw input_error("search.space", options.what, "expected a search, or a recipe with --vary, got a recipe alone",
                              "For example: --vary train.learning_rate=1e-5..1e-2:log --vary method.rank=4,8,16");
        json = {{"recipe", recipe::to_json(recipe::load(file))}};
    }
    if (!options.vary.empty() && !json["space"].is_object()) json["space"] = Json::object();
    for (const std::string& text : options.vary) {
        const auto [key, axis] = search::parse_vary(text);
        json["space"][key] = axis;
    }
    const auto set = [&](const char* key, const auto& value, bool given) {
        if (given) json[key] = value;
    };
    set("strategy", options.strategy, !options.strategy.empty());
    set("metric", options.metric, !options.metric.empty());
    set("goal", options.goal, !options.goal.empty());
    set("runs", options.runs, options.runs > 0);
    set("seed", options.seed, options.seed >= 0);
    set("eta", options.eta, options.eta > 0);
    set("baseline", false, options.no_baseline);
    set("budget", Json{{"steps", options.budget_steps}}, options.budget_steps > 0);
    set("budget", Json{{"epochs", options.budget_epochs}}, options.budget_epochs > 0);

    std::vector<recipe::Problem> problems;
    search::Search search = search::from_json(json, fs::absolute(file).parent_path(), problems);
    if (!problems.empty()) recipe::throw_problems(options.what, problems);
    for (const std::string& assignment : options.assignments) recipe::set(search.recipe, assignment);
    if (problems = recipe::validate(search.recipe); !problems.empty()) recipe::throw_problems(options.what, problems);
    return search;
}

fs::path prepared(const SearchOptions& options, bool& begun) {
    begun = search::is_search(options.what);
    if (!begun) {
        std::error_code absent;
        if (fs::is_directory(options.what, absent))
            throw input_error("search.not_found", options.what, "expected a search's folder with a search.json in it, got another folder",
                              "Name a search's folder, or a file.");
        const search::Search search = described(options);
        train::require_files(search.recipe);
        const fs::path folder = options.out.empty() ? search::new_folder(data_home(), "search " + recipe::title(search.recipe))
                                                    : fs::absolute(options.out).lexically_normal();
        search::create(folder, search);
        return folder;
    }
    if (!options.out.empty() || options.describe_anything())
        throw input_error("usage", options.what, "expected a search that has begun to go on as it is, got further options",
                          "Leave them away, or begin a new search from its search.json.");
    return fs::absolute(options.what).lexically_normal();
}

int search_for(Context& context, const SearchOptions& options) {
    bool begun = false;
    const fs::path folder = prepared(options, begun);
    const search::Search search = search::read(folder).search;
    if (begun) train::require_files(search.recipe);
    SearchLog log(context.output, context.control, search.metric);
    const auto ended = search::run(folder, train::search_trainer(context.device, context.threads), context.control, std::ref(log));
    const auto trials = search::read(folder).trials;
    if (!context.output.json()) {
        std::string text = trials_table(search, trials);
        text += ended.best.empty() ? "No trial has a figure yet.\n" : "The best recipe: " + ended.best + "\n";
        if (ended.reason == "stopped") text += "Stopped; it goes on with: qlora search " + folder.string() + "\n";
        context.output.answer({}, text);
    }
    if (ended.reason == "stopped") return stopped().exit_code();
    if (ended.best.empty())
        throw failure("search.no_winner", folder.string(), "no trial came to a figure; the first: " + (trials.empty() ? "there is none" : trials.front().reason),
                      "Mend what it says and begin a new search.");
    return 0;
}

}  // namespace

Run define_search(CLI::App& command) {
    auto options = std::make_shared<SearchOptions>();
    command.add_option("WHAT", options->what, "A search (JSON), a recipe with --vary, or the folder of a search to go on with")->required();
    command.add_option("--out", options->out, "The search's folder; without it, a new one in the program's home");
    command
        .add_option("--vary", options->vary,
                    "A field and its values: KEY=4,8,16, KEY=LOW..HIGH, KEY=LOW..HIGH:log, and :N for N points of a grid; lists are parted by |")
        ->type_name("KEY=VALUES")
        ->allow_extra_args(false);
    command.add_option("--strategy", options->strategy, "grid, random or halving");
    command.add_option("--runs", options->runs, "How many, of random and halving")->check(CLI::Range(1, 10000));
    command.add_option("--metric", options->metric, "The figure that ranks: validation_loss, accuracy, ...");
    command.add_option("--goal", options->goal, "min or max, where the metric does not say it");
    command.add_option("--seed", options->seed, "Of what is drawn")->check(CLI::NonNegativeNumber);
    command.add_option("--eta", options->eta, "Halving: one of so many goes on, to so many times the length")->check(CLI::Range(2, 100));
    auto* steps = command.add_option("--budget-steps", options->budget_steps, "Halving: the steps of the first rung")->check(CLI::PositiveNumber);
    command.add_option("--budget-epochs", options->budget_epochs, "Halving: the epochs of the first rung")->check(CLI::PositiveNumber)->excludes(steps);
    command.add_flag("--no-baseline", options->no_baseline, "Leaves out the run of the recipe as it is");
    command.add_option("--set", options->assignments, "Sets a key of the recipe; may be given several times")->type_name("KEY=VALUE")->allow_extra_args(false);
    return [options](Context& context) { return search_for(context, *options); };
}

}  // namespace qlora::cli
