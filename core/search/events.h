#pragma once
// What a search tells while it goes: small values, sent from the thread that runs it. Each is also one line of `qlora search --json`.

#include "core/events/events.h"
#include "core/search/trial.h"

namespace qlora::search {

struct TrialStarted {
    Trial trial;
    std::size_t rung = 0, rungs = 1, trials = 0;  // from 0; of how many; all trials of the search
    std::string run;                              // its folder
};
struct TrialTold {  // what the run itself tells
    std::int64_t trial = 0;
    train::Event event;
};
struct TrialEnded {
    Trial trial;  // between, completed or failed
};
struct Best {  // a new best trial, or a new figure of it
    Trial trial;
    double value = 0;
};
struct Ended {
    std::string folder;
    std::string reason;  // "completed"; "stopped": goes on when run again
    std::int64_t completed = 0, failed = 0, left = 0, waiting = 0;  // trials
    std::int64_t winner = 0;  // 0: none has a figure
    double value = 0;
    std::string best;  // the winner's recipe, a file that opens; empty without one
};

using Event = std::variant<TrialStarted, TrialTold, TrialEnded, Best, Ended>;
using Sink = std::function<void(const Event&)>;  // on the search's thread; must not block

// One object with "event": trial_started, trial_finished, best, search_finished; what a run tells keeps its own name and gets
// the member "trial".
OrderedJson to_json(const Event& event);

}  // namespace qlora::search
