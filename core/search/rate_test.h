#pragma once
// The learning-rate range test (Smith 2017, "Cyclical learning rates"): one run whose rate grows exponentially from step to step,
// until the loss breaks away. The losses over the rates show which rates teach the model something.

#include <vector>

#include "core/search/run.h"

namespace qlora::search {

struct RateTest {
    double from = 1e-7, to = 1;
    std::int64_t steps = 100;
};
struct RatePoint {
    // smoothed: while the test goes, an exponential mean of the losses so far (weight 0.9, without its bias); in the end that
    // together with the same from the other end, which does not lag behind: a lag of ten steps would be most of a power of ten;
    // losses behind the lowest of those means count at most as the largest before it.
    double rate = 0, loss = 0, smoothed = 0;
};
struct RateCurve {
    std::vector<RatePoint> points;
    // Where the smoothed loss falls most steeply over the logarithm of the rate: the middle of the tenth of the points with the
    // steepest line through it (least squares), before the lowest smoothed loss. 0: it never falls, or by no more than its noise
    // (four standard errors of the smoothed loss): a larger batch or more steps then say more.
    double suggested = 0;
    double tenth_of_lowest = 0;  // a tenth of the rate of the lowest smoothed loss: the other common advice
    bool complete = false;       // false: stopped by the user
    std::string ending;          // "completed", "diverged" (4 times the lowest smoothed loss, or no finite loss), "stopped"
};

// Runs it on the calling thread in a folder of the system's own for temporary files that it removes; leaves no adapter behind.
// Everything is as in the recipe but the schedule, the length, and that nothing is evaluated or kept. `told` gets every event of
// the run, and `point` every point as it comes. Throws input_error for a range that is none and for a recipe that is refused,
// else the run's own failure.
RateCurve test_rates(const recipe::Recipe& recipe, const RateTest& test, const Trainer& trainer, Control& control, const train::Sink& told,
                     const std::function<void(const RatePoint&)>& point);

// The rest, from the losses alone: smooths and suggests.
RateCurve judge(std::vector<RatePoint> points);

OrderedJson to_json(const RateCurve& curve);
std::string to_csv(const RateCurve& curve);  // learning_rate,loss,smoothed

}  // namespace qlora::search
