#include <cmath>

#include "app/qlora/command.h"
#include "app/qlora/format.h"
#include "app/qlora/options.h"
#include "core/base/home.h"
#include "core/recipe/fields.h"
#include "core/runs/store.h"

namespace qlora::cli {

namespace {

OrderedJson number(const std::optional<double>& value) {
    return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

OrderedJson to_json(const runs::Run& run) {
    return {{"id", run.id},
            {"name", run.name},
            {"folder", run.folder.string()},
            {"status", run.status},
            {"model", run.model},
            {"data", run.data},
            {"precision", run.precision},
            {"method", run.method},
            {"created", run.created},
            {"updated", run.updated},
            {"steps_done", run.steps_done},
            {"steps", run.steps},
            {"train_loss", number(run.train_loss)},
            {"validation_loss", number(run.validation_loss)},
            {"best_loss", number(run.best_loss)},
            {"best_step", run.best_step},
            {"peak_bytes", run.peak_bytes},
            {"folder_bytes", run.folder_bytes},
            {"seconds", run.seconds},
            {"error", run.error},
            {"resumable", run.resumable}};
}

std::string loss(const std::optional<double>& value) {
    return value ? fixed(*value, 4) : "-";
}

// A recipe as its run folder keeps it; problems of an older program's do not matter here.
recipe::Recipe recipe_of(const runs::Run& run) {
    std::vector<recipe::Problem> problems;
    return recipe::from_json(read_json_file(run.folder / "recipe.json"), {}, problems);
}

runs::Run require(const runs::Store& store, const std::string& name) {
    if (auto run = store.find(name)) return *run;
    throw input_error("runs.not_found", name, "there is no such run",
                      "'qlora runs' lists them with their numbers.");
}

int list(Context& context) {
    runs::Store store(data_home());
    store.recover();
    OrderedJson json = OrderedJson::array();
    std::vector<std::vector<std::string>> rows{{"ID", "STATUS", "STEPS", "BEST LOSS", "CREATED", "NAME"}};
    for (const runs::Run& run : store.list()) {
        json.push_back(to_json(run));
        rows.push_back({std::to_string(run.id), run.status + (run.resumable ? " *" : ""),
                        std::to_string(run.steps_done) + "/" + std::to_string(run.steps), loss(run.best_loss),
                        time_text(run.created), run.name});
    }
    context.output.answer({{"runs", json}},
                          rows.size() > 1 ? table(rows) + "* can be resumed" : "There are no runs yet.");
    return 0;
}

int show(Context& context, const std::string& name) {
    runs::Store store(data_home());
    store.recover();
    runs::Run run = require(store, name);
    OrderedJson json = to_json(run);
    std::string text;
    for (const auto& [key, value] : json.items())
        text += key + std::string(16 - std::min<std::size_t>(15, key.size()), ' ') +
                (value.is_string() ? value.get<std::string>() : value.dump()) + "\n";
    try {
        json["recipe"] = recipe::to_json(recipe_of(run));
    } catch (const Error& error) {
        json["recipe"] = nullptr;
        text += "\n" + error.message() + "\n";
    }
    context.output.answer(json, text);
    return 0;
}

int compare(Context& context, const std::vector<std::string>& names) {
    runs::Store store(data_home());
    store.recover();
    std::vector<runs::Run> chosen;
    std::vector<recipe::Recipe> recipes;
    for (const std::string& name : names) {
        chosen.push_back(require(store, name));
        recipes.push_back(recipe_of(chosen.back()));
    }
    OrderedJson json{{"runs", OrderedJson::array()}, {"differences", OrderedJson::object()}};
    std::vector<std::vector<std::string>> rows{{""},          {"status"}, {"train loss"}, {"validation loss"},
                                               {"best loss"}, {"seconds"}};
    for (const runs::Run& run : chosen) {
        json["runs"].push_back(to_json(run));
        rows[0].push_back(std::to_string(run.id) + " " + run.name);
        rows[1].push_back(run.status);
        rows[2].push_back(loss(run.train_loss));
        rows[3].push_back(loss(run.validation_loss));
        rows[4].push_back(loss(run.best_loss));
        rows[5].push_back(fixed(run.seconds, 1));
    }
    for (const recipe::Field& field : recipe::fields()) {
        bool same = true;
        for (const recipe::Recipe& recipe : recipes)
            same = same && field.get(recipe) == field.get(recipes.front());
        if (same) continue;
        rows.push_back({field.key});
        for (const recipe::Recipe& recipe : recipes) {
            json["differences"][field.key].push_back(OrderedJson(field.get(recipe)));
            rows.back().push_back(field.get(recipe).dump());
        }
    }
    context.output.answer(json, table(rows));
    return 0;
}

int remove(Context& context, const std::vector<std::string>& names) {
    runs::Store store(data_home());
    OrderedJson removed = OrderedJson::array();
    std::string text;
    std::vector<runs::Run> chosen;  // all are known before the first is removed
    for (const std::string& name : names) chosen.push_back(require(store, name));
    for (const runs::Run& run : chosen) {
        store.remove(run.id);
        removed.push_back(run.id);
        text += "Deleted run " + std::to_string(run.id) + ", " + run.name + "\n";
    }
    context.output.answer({{"deleted", removed}}, text);
    return 0;
}

}  // namespace

Run define_runs(CLI::App& command) {
    struct Options {
        std::string run;
        std::vector<std::string> runs;
    };
    auto options = std::make_shared<Options>();
    command.require_subcommand(0, 1);
    auto add = [&](const char* name, const char* summary) {
        CLI::App* action = command.add_subcommand(name, summary);
        action->fallthrough();
        return action;
    };
    add("list", "All runs, the newest first (the default)");
    CLI::App* show_one = add("show", "One run and its recipe");
    show_one->add_option("RUN", options->run, "Its number, folder or name")->required();
    CLI::App* compare_some = add("compare", "Figures side by side, and the settings that differ");
    compare_some->add_option("RUN", options->runs, "Numbers, folders or names")->required()->expected(2, 100);
    CLI::App* delete_some = add("delete", "Deletes runs with what they wrote; a running one is refused");
    delete_some->add_option("RUN", options->runs, "Numbers, folders or names")
        ->required()
        ->expected(1, 10000);
    return [=](Context& context) {
        if (show_one->parsed()) return show(context, options->run);
        if (compare_some->parsed()) return compare(context, options->runs);
        if (delete_some->parsed()) return remove(context, options->runs);
        return list(context);
    };
}

}  // namespace qlora::cli
