#pragma once
// A search as it might stand, for tests of its table, picture and page.

#include "core/search/folder.h"

namespace qlora::ui {

inline search::Standing some_search() {
    const Json json = parse_json(R"({"recipe": {"name": "Reviews", "model": "m", "data": {"train": "d.jsonl"}, "task": "classification", "r": 8},
        "strategy": "random", "runs": 6, "metric": "accuracy",
        "space": {"train.learning_rate": {"low": 1e-5, "high": 1e-2, "scale": "log"}, "method.rank": [4, 8, 16], "method.dora": [true, false]}})", "test");
    std::vector<recipe::Problem> problems;
    search::Standing standing;
    standing.folder = "/searches/reviews-1";
    standing.search = search::from_json(json, {}, problems);
    standing.trials = search::make_trials(standing.search);
    const double values[] = {0.71, 0.82, 0.64, 0.79};
    for (std::size_t i = 0; i < 4; ++i) {
        auto& trial = standing.trials[i];
        trial.status = search::Trial::Status::completed;
        trial.rungs = {values[i]};
        trial.metrics = {{"accuracy", values[i]}, {"validation_loss", 1 - values[i]}};
        trial.steps = trial.all_steps = 100;
        trial.seconds = 12.5;
        trial.ended = std::int64_t(i) + 1;
    }
    standing.trials[4].status = search::Trial::Status::failed;
    standing.trials[4].reason = "20 steps in a row gave no finite loss or gradient";
    return standing;
}

}  // namespace qlora::ui
