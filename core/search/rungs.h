#pragma once
// Successive halving (Jamieson and Talwalkar 2016): all trials are trained a little, the best 1 / eta of them go on to eta times
// the length, and so on; the last rung is the whole recipe. Grid and random search are the same with a single rung.
//
// A learning-rate schedule spans all steps of a run. So every trial is begun at its recipe's full length, is stopped and saved where
// its rung ends, and is resumed from there when it goes on: its numbers are bit for bit those of one uninterrupted run, and a rung
// compares runs that are on their way, not short ones whose rate has already fallen to nothing. Figures of different rungs are
// therefore never compared with each other.

#include "core/events/events.h"
#include "core/search/trial.h"

namespace qlora::search {

// How many rungs: 1, or as often as `trials` can be divided by eta, and one more.
std::size_t rung_count(const Search& search, std::size_t trials);

// The step after which a run ends rung `rung` (from 0) of `rungs`; the last is the run's own end. The first is the search's
// budget, in steps or in epochs, or else the run's length / eta^(rungs - 1); each further one is eta times as long.
std::int64_t rung_end(const Search& search, std::size_t rung, std::size_t rungs, const train::Loaded& run);

struct Job {
    std::size_t trial = 0, rung = 0;  // an index; from 0
};

// What is to be run next, in order of rung and number; empty when the search is done. Marks as left those trials that it has
// become clear are not to go on.
std::optional<Job> next_job(const Search& search, std::vector<Trial>& trials);

}  // namespace qlora::search
