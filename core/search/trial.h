#pragma once
// The runs of a search: which there are, how each stands, which is the best. Values and pure functions; any thread.

#include <cmath>
#include <optional>

#include "core/search/search.h"

namespace qlora::search {

struct Trial {
    enum class Status {
        waiting,    // not begun
        running,    // or cut off while it ran: it goes on from its newest checkpoint
        between,    // of halving: has done a rung, and whether it goes on is not yet known
        completed,  // to the end of its recipe, or stopped early by it
        left,       // of halving: others were better; what it did and its curve are kept
        failed      // refused or diverged, see `reason`
    };
    std::int64_t number = 0;  // from 1; its folder is runs/0001
    Values values{};
    bool baseline = false;    // the recipe as it is
    Status status = Status::waiting;
    std::vector<double> rungs{};              // the search's metric at the end of each rung done
    std::map<std::string, double> metrics{};  // as the run's last Finished had them
    std::int64_t steps = 0, all_steps = 0;    // done; of the whole recipe, 0 until it was loaded
    double seconds = 0;
    std::int64_t ended = 0;  // counts the ends of rungs and runs in their order, over all trials; 0: none yet
    std::string reason{};    // of a failure
    bool operator==(const Trial&) const = default;

    double value() const { return rungs.empty() ? std::nan("") : rungs.back(); }
};

// The trials of a search, all waiting. The same description gives the same trials: the n-th is drawn from a stream of its own, so
// that more runs add to the list and change nothing before.
std::vector<Trial> make_trials(const Search& search);
// The recipe of a trial.
recipe::Recipe recipe_of(const Search& search, const Trial& trial);

// Better first: the trials that did the most rungs, then by the metric, then by number. Those without a value are left out.
std::vector<std::size_t> ranking(const Search& search, const std::vector<Trial>& trials);
std::optional<std::size_t> best_of(const Search& search, const std::vector<Trial>& trials);

std::string_view name(Trial::Status status);
OrderedJson to_json(const Trial& trial);
Trial trial_from_json(const Json& json, const std::string& where);  // throws input_error "json.field"

}  // namespace qlora::search
