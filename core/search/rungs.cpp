#include "core/search/rungs.h"

#include <algorithm>
#include <numeric>

namespace qlora::search {

std::size_t rung_count(const Search& search, std::size_t trials) {
    std::size_t rungs = 1;
    if (search.strategy == Strategy::halving)
        for (auto left = static_cast<std::int64_t>(trials); left >= search.eta; left /= search.eta) ++rungs;
    return rungs;
}

std::int64_t rung_end(const Search& search, std::size_t rung, std::size_t rungs, const train::Loaded& run) {
    if (rung + 1 >= rungs) return run.steps;
    const auto eta = static_cast<double>(search.eta), all = static_cast<double>(run.steps);
    double first = all / std::pow(eta, static_cast<double>(rungs - 1));
    if (search.first_steps > 0) first = search.first_steps;
    if (search.first_epochs > 0) first = search.first_epochs * static_cast<double>(run.steps_per_epoch);
    return static_cast<std::int64_t>(std::clamp(std::ceil(first * std::pow(eta, static_cast<double>(rung)) - 1e-9), 1.0, all));
}

std::optional<Job> next_job(const Search& search, std::vector<Trial>& trials) {
    const std::size_t rungs = rung_count(search, trials.size());
    std::vector<std::size_t> running(trials.size());
    std::iota(running.begin(), running.end(), 0u);
    for (std::size_t rung = 0; rung < rungs; ++rung) {
        for (std::size_t i : running)
            if (trials[i].status != Trial::Status::failed && trials[i].rungs.size() <= rung) return Job{i, rung};
        const std::size_t keep = std::max<std::size_t>(1, running.size() / static_cast<std::size_t>(search.eta));
        std::erase_if(running, [&](std::size_t i) { return trials[i].status == Trial::Status::failed; });
        std::ranges::stable_sort(running, [&](std::size_t a, std::size_t b) {
            return search.maximize ? trials[a].rungs[rung] > trials[b].rungs[rung] : trials[a].rungs[rung] < trials[b].rungs[rung];
        });
        if (rung + 1 == rungs || running.size() <= keep) continue;
        for (std::size_t k = keep; k < running.size(); ++k)
            if (Trial& trial = trials[running[k]]; trial.status == Trial::Status::between) trial.status = Trial::Status::left;
        running.resize(keep);
        std::ranges::sort(running);
    }
    return std::nullopt;
}

}  // namespace qlora::search
