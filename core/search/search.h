#pragma once
// The description of a search for a better recipe: what is varied, how the runs are chosen, and by which figure they are ranked.
// One JSON file:
//   {"recipe": "sentiment.json" (or the recipe itself), "strategy": "random", "runs": 12, "seed": 42,
//    "space": {"train.learning_rate": {"low": 1e-5, "high": 1e-2, "scale": "log"}, "method.rank": [4, 8, 16]},
//    "metric": "accuracy", "goal": "max", "baseline": true, "eta": 3, "budget": {"steps": 50}}

#include <filesystem>
#include <string_view>

#include "core/search/space.h"

namespace qlora::search {

enum class Strategy {
    grid,     // every combination, ranges at their points
    random,   // `runs` combinations by chance (Bergstra and Bengio 2012)
    halving,  // the same, but only the best `1 / eta` of them go on, to `eta` times the length, and so on: see rungs.h
};

struct Search {
    recipe::Recipe recipe{};  // what is not varied
    Strategy strategy = Strategy::random;
    std::vector<Axis> axes{};
    std::int64_t runs = 12;   // of random and halving; fewer where the space has no more
    std::uint64_t seed = 42;  // of what is drawn, not of the training
    std::string metric = "validation_loss";
    bool maximize = false;
    bool baseline = true;   // the first run is the recipe as it is, so that the winner is known to be better
    std::int64_t eta = 3;   // of halving
    double first_steps = 0, first_epochs = 0;  // the length of halving's first rung; both 0: what makes the last rung whole
    bool operator==(const Search&) const = default;
};

// The figures that runs can be ranked by, by their names in Finished::metrics.
const std::vector<std::string>& known_metrics();
// Whether a higher figure is a better one.
bool higher_is_better(std::string_view metric);

// Relative paths are relative to `folder`. Collects every problem, those of the recipe too; each field names its key, such as
// "space.train.learning_rate.low". Throws nothing but for a recipe file that cannot be read.
Search from_json(const Json& json, const std::filesystem::path& folder, std::vector<recipe::Problem>& problems);
// Reads a file; throws input_error "recipe.invalid" whose message lists every problem.
Search load(const std::filesystem::path& path);
// All members, the recipe with absolute paths: from_json(to_json(s)) == s.
OrderedJson to_json(const Search& search);

std::string_view name(Strategy strategy);

}  // namespace qlora::search
