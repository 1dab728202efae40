#include "core/search/search.h"

#include <algorithm>
#include <array>

#include "core/base/error.h"

namespace qlora::search {

namespace fs = std::filesystem;
using recipe::Problem;

namespace {

constexpr std::array<std::string_view, 3> strategies = {"grid", "random", "halving"};
constexpr std::int64_t most_runs = 10000;

class Reader {
  public:
    Reader(const Json& json, const fs::path& folder, std::vector<Problem>& problems) : json_(json), folder_(folder), problems_(problems) {}

    Search read() {
        static const std::array<std::string_view, 10> known = {"recipe", "strategy", "space", "runs", "seed", "metric", "goal", "baseline", "eta", "budget"};
        for (const auto& [key, value] : json_.items())
            if (std::ranges::find(known, key) == known.end())
                refuse(key, "recipe, strategy, space, runs, seed, metric, goal, baseline, eta or budget", "an unknown key");
        Search search;
        read_recipe(search.recipe);
        word("strategy", strategies, [&](std::size_t i) { search.strategy = static_cast<Strategy>(i); });
        search.axes = axes_from_json(json_.contains("space") ? json_["space"] : Json::object(), folder_, problems_);
        integer("runs", 1, most_runs, search.runs);
        integer("seed", 0, INT64_C(1) << 53, search.seed);
        integer("eta", 2, 100, search.eta);
        search.baseline = search.strategy != Strategy::grid;
        if (json_.contains("baseline")) {
            if (json_["baseline"].is_boolean()) search.baseline = json_["baseline"].get<bool>();
            else refuse("baseline", "true or false", describe(json_["baseline"]));
        }
        read_metric(search);
        read_budget(search);
        if (search.strategy == Strategy::grid) check_size(search);
        return search;
    }

  private:
    void refuse(const std::string& key, const std::string& expected, const std::string& got, const std::string& hint = {}) {
        problems_.push_back({key, expected, got, hint});
    }

    template <typename Number>
    void integer(const char* key, std::int64_t low, std::int64_t high, Number& into) {
        if (!json_.contains(key)) return;
        const Json& value = json_[key];
        if (value.is_number_integer() && value >= low && value <= high) into = value.get<Number>();
        else refuse(key, "an integer from " + std::to_string(low) + " to " + std::to_string(high), describe(value));
    }

    template <typename Words>
    void word(const char* key, const Words& words, const std::function<void(std::size_t)>& take) {
        if (!json_.contains(key)) return;
        const Json& value = json_[key];
        const auto found = value.is_string() ? std::ranges::find(words, value.get<std::string>()) : words.end();
        if (found != words.end()) return take(static_cast<std::size_t>(found - words.begin()));
        std::string all;
        for (const auto& known : words) all += (all.empty() ? "one of " : ", ") + std::string(known);
        refuse(key, all, describe(value));
    }

    void read_recipe(recipe::Recipe& recipe) {
        if (!json_.contains("recipe")) return refuse("recipe", "the path of a recipe, or the recipe itself", "nothing");
        Json given = json_["recipe"];
        fs::path folder = folder_;
        if (given.is_string()) {
            const fs::path file = (folder / given.get<std::string>()).lexically_normal();
            given = read_json_file(file, {.bytes = 1 << 20, .depth = 16});
            folder = fs::absolute(file).parent_path();
        }
        std::vector<Problem> found;
        recipe = recipe::from_json(given, folder, found);
        if (found.empty()) found = recipe::validate(recipe);
        for (Problem& problem : found) {
            problem.field = "recipe." + problem.field;
            problems_.push_back(std::move(problem));
        }
    }

    void read_metric(Search& search) {
        word("metric", known_metrics(), [&](std::size_t i) { search.metric = known_metrics()[i]; });
        search.maximize = higher_is_better(search.metric);
        word("goal", std::array<std::string_view, 2>{"min", "max"}, [&](std::size_t i) { search.maximize = i == 1; });
        const auto& data = search.recipe.data;
        if (search.metric != "train_loss" && data.validation.empty() && data.validation_fraction == 0)
            refuse("metric", "\"train_loss\" without validation rows", "\"" + search.metric + "\"",
                   "set data.validation_fraction above 0 or name a validation file");
    }

    void read_budget(Search& search) {
        if (!json_.contains("budget")) return;
        const Json& budget = json_["budget"];
        const auto positive = [&](const char* unit) {
            return budget.is_object() && budget.size() == 1 && budget.contains(unit) && budget[unit].is_number() && budget[unit] > 0;
        };
        if (positive("steps")) search.first_steps = budget["steps"].get<double>();
        else if (positive("epochs")) search.first_epochs = budget["epochs"].get<double>();
        else refuse("budget", "{\"steps\": N} or {\"epochs\": N}, more than 0", budget.is_object() ? budget.dump() : describe(budget));
    }

    void check_size(const Search& search) {
        double size = 1;
        for (const Axis& axis : search.axes) size *= static_cast<double>(grid_values(axis).size());
        if (size > most_runs)
            refuse("space", "at most " + std::to_string(most_runs) + " combinations in a grid", Json(size).dump(),
                   "set \"points\" of ranges lower, or search by chance");
    }

    const Json& json_;
    const fs::path folder_;
    std::vector<Problem>& problems_;
};

}  // namespace

std::string_view name(Strategy strategy) { return strategies.at(static_cast<std::size_t>(strategy)); }

const std::vector<std::string>& known_metrics() {
    static const std::vector<std::string> names = {"validation_loss", "train_loss", "perplexity", "accuracy", "macro_f1", "micro_f1",
                                                   "exact_match", "chrf", "pearson", "spearman", "mean_squared_error", "mean_absolute_error"};
    return names;
}

bool higher_is_better(std::string_view metric) {
    return !metric.ends_with("loss") && !metric.ends_with("error") && !metric.ends_with("perplexity");
}

Search from_json(const Json& json, const fs::path& folder, std::vector<Problem>& problems) {
    if (json.is_object()) return Reader(json, folder, problems).read();
    problems.push_back({"search", "a JSON object", describe(json), ""});
    return {};
}

Search load(const fs::path& path) {
    const Json json = read_json_file(path, {.bytes = 1 << 20, .depth = 24});
    std::vector<Problem> problems;
    Search search = search::from_json(json, fs::absolute(path).parent_path(), problems);
    if (!problems.empty()) recipe::throw_problems(path.string(), problems);
    return search;
}

OrderedJson to_json(const Search& search) {
    OrderedJson json = {{"strategy", name(search.strategy)}, {"runs", search.runs}, {"seed", search.seed}, {"metric", search.metric},
                        {"goal", search.maximize ? "max" : "min"}, {"baseline", search.baseline}, {"eta", search.eta}};
    if (search.first_steps > 0) json["budget"] = {{"steps", search.first_steps}};
    if (search.first_epochs > 0) json["budget"] = {{"epochs", search.first_epochs}};
    json["space"] = to_json(search.axes);
    json["recipe"] = recipe::to_json(search.recipe);
    return json;
}

}  // namespace qlora::search
