#include "core/search/rate_test.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "core/base/error.h"

namespace qlora::search {

namespace fs = std::filesystem;

namespace {

constexpr double kept = 0.9;  // of the mean so far
constexpr double breaks_away = 4;
constexpr double standard_errors = 4;  // the lowest of many points is three below their mean by chance alone

class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string name = (fs::temp_directory_path() / "qlora-rates-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw failure("rates.folder", name, "cannot create a folder there: " + errno_text(errno), "Set TMPDIR to a folder you may write to.");
        path_ = name;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

recipe::Recipe tested(recipe::Recipe recipe, const RateTest& test) {
    recipe.train.max_steps = test.steps + 1;  // it is stopped before the last, at whose end a run would save its adapter
    recipe.train.warmup = 0;
    recipe.train.checkpoint_every = 0;
    recipe.early_stopping.patience = 0;
    recipe.data.augment.paraphrases = 0;  // writing them takes longer than the test
    // The rows that are held out stay so, and hardly any is looked at.
    recipe.evaluate.every = test.steps + 1;
    recipe.evaluate.max_rows = 1;
    recipe.evaluate.samples = 0;
    recipe.output.clear();
    return recipe;
}

void require(const RateTest& test) {
    if (!(test.from > 0 && test.from < test.to && test.to <= 100))
        throw input_error("rates.range", "the range", "expected 0 < from < to <= 100, got " + Json(test.from).dump() + " to " + Json(test.to).dump());
    if (test.steps < 10 || test.steps > 100000)
        throw input_error("rates.steps", "the steps", "expected 10 to 100000, got " + std::to_string(test.steps));
}

// Of the least-squares line through points[first, last) over the logarithm of the rate.
double slope(const std::vector<RatePoint>& points, std::size_t first, std::size_t last) {
    const auto n = static_cast<double>(last - first);
    double x = 0, y = 0, xx = 0, xy = 0;
    for (std::size_t i = first; i < last; ++i) {
        const double at = std::log(points[i].rate);
        x += at, y += points[i].smoothed, xx += at * at, xy += at * points[i].smoothed;
    }
    return (n * xy - x * y) / (n * xx - x * x);
}

struct Mean {
    double sum = 0, weight = 0;
};
std::vector<Mean> means_of(const std::vector<double>& values) {
    std::vector<Mean> means;
    Mean mean;
    for (double value : values) {
        mean = {kept * mean.sum + (1 - kept) * value, kept * mean.weight + 1 - kept};
        means.push_back(mean);
    }
    return means;
}

// From its beginning, the mean of the first `width`, to the lowest. An exponential mean has (1 - kept) / (1 + kept) of the variance
// of its values.
bool falls_clearly(const std::vector<RatePoint>& points, std::size_t width, std::size_t lowest) {
    double beginning = 0, variance = 0;
    for (std::size_t i = 0; i < width; ++i) beginning += points[i].smoothed / static_cast<double>(width);
    for (std::size_t i = 0; i <= lowest; ++i) {
        const double off = points[i].loss - points[i].smoothed;
        variance += off * off / static_cast<double>(lowest + 1);
    }
    return beginning - points[lowest].smoothed > standard_errors * std::sqrt(variance * (1 - kept) / (1 + kept));
}

}  // namespace

RateCurve judge(std::vector<RatePoint> points) {
    RateCurve curve;
    if (points.empty()) return curve;
    std::vector<double> losses;
    for (const RatePoint& point : points) losses.push_back(point.loss);
    // Where the loss breaks away it is many times what it was, and would hide from the other end that it fell before: behind the lowest
    // mean nothing counts as more than the most before it.
    const auto before = means_of(losses);
    const auto lowest_mean = std::ranges::min_element(before, {}, [](const Mean& mean) { return mean.sum / mean.weight; });
    const auto turn = losses.begin() + (lowest_mean - before.begin());
    const double most = *std::max_element(losses.begin(), turn + 1);
    for (auto loss = turn; loss != losses.end(); ++loss) *loss = std::min(*loss, most);
    const auto there = means_of(losses);
    std::ranges::reverse(losses);
    auto back = means_of(losses);
    std::ranges::reverse(back);
    for (std::size_t i = 0; i < points.size(); ++i) points[i].smoothed = (there[i].sum + back[i].sum) / (there[i].weight + back[i].weight);
    curve.points = std::move(points);
    const auto& all = curve.points;
    if (all.size() < 4) return curve;
    const auto lowest = static_cast<std::size_t>(std::ranges::min_element(all, {}, &RatePoint::smoothed) - all.begin());
    curve.tenth_of_lowest = all[lowest].rate / 10;
    const std::size_t width = std::max<std::size_t>(4, all.size() / 10);
    if (lowest < width || !falls_clearly(all, width, lowest)) return curve;
    double steepest = 0;
    for (std::size_t first = 0; first + width <= lowest + 1; ++first)
        if (const double fall = slope(all, first, first + width); fall < steepest) {
            steepest = fall;
            curve.suggested = std::sqrt(all[first].rate * all[first + width - 1].rate);
        }
    return curve;
}

RateCurve test_rates(const recipe::Recipe& recipe, const RateTest& test, const Trainer& trainer, Control& control, const train::Sink& told,
                     const std::function<void(const RatePoint&)>& point) {
    require(test);
    const TemporaryFolder folder;
    Sitting sitting;
    sitting.recipe = tested(recipe, test);
    sitting.folder = folder.path() / "run";
    const double growth = std::log(test.to / test.from) / static_cast<double>(test.steps - 1);
    sitting.learning_rate = [&](std::int64_t update) { return test.from * std::exp(growth * static_cast<double>(update)); };

    std::vector<RatePoint> points;
    double mean = 0, weight = 1, lowest = std::numeric_limits<double>::infinity();
    std::string ending;
    Control own;
    const Forward forward(control, own);
    const auto last = trainer(sitting, own, [&](const train::Event& event) {
        told(event);
        const auto* step = std::get_if<train::StepDone>(&event);
        if (step == nullptr || !ending.empty()) return;
        if (step->skipped || !std::isfinite(step->loss)) {
            ending = "diverged";
            return own.stop();
        }
        mean = kept * mean + (1 - kept) * step->loss;
        weight *= kept;
        points.push_back({step->learning_rate, step->loss, mean / (1 - weight)});
        point(points.back());
        lowest = std::min(lowest, points.back().smoothed);
        if (points.back().smoothed > breaks_away * lowest) ending = "diverged";
        else if (step->step >= test.steps) ending = "completed";
        if (!ending.empty()) own.stop();
    });
    if (const auto* failed = std::get_if<train::Failed>(&last))
        throw failed->input ? input_error(failed->code, failed->where, failed->message, failed->hint)
                            : failure(failed->code, failed->where, failed->message, failed->hint);
    RateCurve curve = judge(std::move(points));
    curve.ending = ending.empty() ? "stopped" : ending;
    curve.complete = !ending.empty();
    return curve;
}

OrderedJson to_json(const RateCurve& curve) {
    OrderedJson json = {{"suggested", curve.suggested > 0 ? OrderedJson(curve.suggested) : OrderedJson(nullptr)},
                        {"rule", "steepest fall of the smoothed loss"},
                        {"tenth_of_lowest", curve.tenth_of_lowest > 0 ? OrderedJson(curve.tenth_of_lowest) : OrderedJson(nullptr)},
                        {"ending", curve.ending}, {"points", OrderedJson::array()}};
    for (const RatePoint& point : curve.points)
        json["points"].push_back({{"learning_rate", point.rate}, {"loss", point.loss}, {"smoothed", point.smoothed}});
    return json;
}

std::string to_csv(const RateCurve& curve) {
    std::string text = "learning_rate,loss,smoothed\n";
    for (const RatePoint& point : curve.points)
        text += Json(point.rate).dump() + "," + Json(point.loss).dump() + "," + Json(point.smoothed).dump() + "\n";
    return text;
}

}  // namespace qlora::search
