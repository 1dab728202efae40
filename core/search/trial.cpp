#include "core/search/trial.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/base/error.h"

namespace qlora::search {

namespace {

constexpr std::array<std::string_view, 6> statuses = {"waiting", "running", "between", "completed", "left", "failed"};

std::vector<Values> grid(const std::vector<Axis>& axes) {
    std::vector<Values> points{{}};
    for (const Axis& axis : axes) {
        std::vector<Values> longer;
        for (const Values& point : points)
            for (const Json& value : grid_values(axis)) {
                longer.push_back(point);
                longer.back()[axis.key] = value;
            }
        points = std::move(longer);
    }
    return points;
}

Values drawn(const Search& search, std::size_t n) {
    RandomStream random(search.seed, "search trial " + std::to_string(n));
    Values values;
    for (const Axis& axis : search.axes) values[axis.key] = draw(axis, random);
    return values;
}

double number(const Json& value) { return value.is_number() ? value.get<double>() : std::nan(""); }
OrderedJson finite(double value) { return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr); }

}  // namespace

std::vector<Trial> make_trials(const Search& search) {
    constexpr std::size_t most_misses = 1000;  // draws in a row that were there already: the space has no more
    std::vector<Trial> trials;
    std::set<std::string> known;
    const auto add = [&](const Values& values, bool baseline) {
        if (!known.insert(Json(values).dump()).second) return false;
        Trial trial;
        trial.number = static_cast<std::int64_t>(trials.size()) + 1;
        trial.values = values;
        trial.baseline = baseline;
        trials.push_back(std::move(trial));
        return true;
    };
    if (search.baseline) add(values_of(search.recipe, search.axes), true);
    if (search.strategy == Strategy::grid) {
        for (const Values& values : grid(search.axes)) add(values, false);
        return trials;
    }
    for (std::size_t n = 0, misses = 0; trials.size() < static_cast<std::size_t>(search.runs) && misses < most_misses; ++n)
        misses = add(drawn(search, n), false) ? 0 : misses + 1;
    return trials;
}

recipe::Recipe recipe_of(const Search& search, const Trial& trial) {
    recipe::Recipe recipe = search.recipe;
    if (!set_values(recipe, trial.values))
        throw input_error("search.values", "trial " + std::to_string(trial.number), "the recipe does not take its values");
    recipe.name = recipe::title(search.recipe) + ", trial " + std::to_string(trial.number);
    recipe.output.clear();
    return recipe;
}

std::vector<std::size_t> ranking(const Search& search, const std::vector<Trial>& trials) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < trials.size(); ++i)
        if (trials[i].status != Trial::Status::failed && !std::isnan(trials[i].value())) order.push_back(i);
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
        const Trial &first = trials[a], &second = trials[b];
        if (first.rungs.size() != second.rungs.size()) return first.rungs.size() > second.rungs.size();
        return search.maximize ? first.value() > second.value() : first.value() < second.value();
    });
    return order;
}

std::optional<std::size_t> best_of(const Search& search, const std::vector<Trial>& trials) {
    const auto order = ranking(search, trials);
    return order.empty() ? std::nullopt : std::optional(order.front());
}

std::string_view name(Trial::Status status) { return statuses.at(static_cast<std::size_t>(status)); }

OrderedJson to_json(const Trial& trial) {
    OrderedJson json = {{"number", trial.number}, {"status", name(trial.status)}, {"baseline", trial.baseline},
                        {"values", trial.values}, {"rungs", OrderedJson::array()}, {"metrics", OrderedJson::object()}};
    for (double value : trial.rungs) json["rungs"].push_back(finite(value));
    for (const auto& [key, value] : trial.metrics) json["metrics"][key] = finite(value);
    json["steps"] = trial.steps;
    json["all_steps"] = trial.all_steps;
    json["seconds"] = finite(trial.seconds);
    json["ended"] = trial.ended;
    json["reason"] = trial.reason;
    return json;
}

Trial trial_from_json(const Json& json, const std::string& where) {
    const JsonObject object(json, where);
    Trial trial;
    trial.number = object.integer("number", 1, 1000000);
    const auto status = std::ranges::find(statuses, object.string("status"));
    if (status == statuses.end()) object.fail("status", "the status of a trial");
    trial.status = static_cast<Trial::Status>(status - statuses.begin());
    trial.baseline = object.boolean("baseline", false);
    if (!object.value("values").is_object() || !object.value("rungs").is_array() || !object.value("metrics").is_object())
        object.fail("values", "an object, beside a list of rungs and an object of metrics");
    for (const auto& [key, value] : object.value("values").items()) trial.values[key] = value;
    for (const Json& value : object.value("rungs")) trial.rungs.push_back(number(value));
    for (const auto& [key, value] : object.value("metrics").items()) trial.metrics[key] = number(value);
    trial.steps = object.integer("steps", 0, INT64_MAX, 0);
    trial.all_steps = object.integer("all_steps", 0, INT64_MAX, 0);
    trial.seconds = object.number("seconds", 0, 1e15, 0);
    trial.ended = object.integer("ended", 0, INT64_MAX, 0);
    trial.reason = object.string("reason", "");
    return trial;
}

}  // namespace qlora::search
