#include "app/qlora/command.h"
#include "app/qlora/format.h"
#include "app/qlora/live_line.h"
#include "app/qlora/options.h"
#include "core/base/file.h"
#include "core/search/rate_test.h"
#include "core/train/search_trainer.h"
#include "core/train/trainer.h"

namespace qlora::cli {

namespace fs = std::filesystem;

namespace {

struct RangeOptions {
    RecipeOptions recipe;
    search::RateTest test;
    std::string out;
};

// The curve as a picture of text: a line for every few steps.
std::string picture(const search::RateCurve& curve) {
    constexpr std::size_t lines = 20, width = 50;
    double low = INFINITY, high = -INFINITY;
    for (const auto& point : curve.points) low = std::min(low, point.smoothed), high = std::max(high, point.smoothed);
    const double top = std::min(high, low + 2 * (curve.points.front().smoothed - low) + 1e-9);  // the last leap would flatten the rest
    std::string text;
    const std::size_t step = std::max<std::size_t>(1, (curve.points.size() + lines - 1) / lines);
    for (std::size_t i = 0; i < curve.points.size(); i += step) {
        const auto& point = curve.points[i];
        const double part = top > low ? std::min(1.0, (point.smoothed - low) / (top - low)) : 0;
        const bool here = curve.suggested > 0 && point.rate <= curve.suggested && curve.suggested < point.rate * std::pow(curve.points[1].rate / curve.points[0].rate, static_cast<double>(step));
        text += short_number(point.rate) + "  " + fixed(point.smoothed, 4) + "  " + std::string(static_cast<std::size_t>(part * width) + 1, '#') + (here ? "  <- suggested" : "") + "\n";
    }
    return text;
}

int lr_range(Context& context, const RangeOptions& options) {
    const recipe::Recipe recipe = options.recipe.load();
    train::require_files(recipe);
    const fs::path folder = options.out.empty() ? fs::path(".") : fs::path(options.out);
    create_folders(folder);
    LiveLine live(!context.output.json());
    const auto told = [&](const train::Event& event) {
        if (const auto* progressed = std::get_if<train::Progressed>(&event)) live.progress()(progressed->what.c_str(), progressed->done, progressed->total);
    };
    const auto point = [&](const search::RatePoint& at) {
        if (context.output.json()) context.output.line(OrderedJson{{"event", "rate"}, {"learning_rate", at.rate}, {"loss", at.loss}, {"smoothed", at.smoothed}}.dump());
        else live.show("learning rate " + short_number(at.rate) + "  loss " + fixed(at.loss, 4) + "  smoothed " + fixed(at.smoothed, 4));
    };
    const auto curve = search::test_rates(recipe, options.test, train::search_trainer(context.device, context.threads), context.control, told, point);
    live.clear();
    if (curve.points.empty()) {
        if (!curve.complete) return stopped().exit_code();
        throw failure("rates.diverged", "train.learning_rate", "the very first step gave no finite loss", "Begin with a lower --from.");
    }
    const fs::path csv = folder / "lr-range.csv", json = folder / "lr-range.json";
    OrderedJson answer = search::to_json(curve);
    write_atomically(csv, search::to_csv(curve));
    write_atomically(json, answer.dump(2) + "\n");
    answer.erase("points");
    answer.update({{"event", "finished"}, {"csv", csv.string()}, {"json", json.string()}});
    std::string text = picture(curve);
    text += curve.suggested > 0 ? "Suggested learning rate: " + short_number(curve.suggested) + ", where the smoothed loss falls most steeply.\n"
                                : std::string("The loss did not fall by more than its noise, so no rate is suggested; more --steps or a larger batch (--set train.accumulate=4) say more.\n");
    if (curve.tenth_of_lowest > 0) text += "A tenth of the rate with the lowest loss: " + short_number(curve.tenth_of_lowest) + "\n";
    if (curve.ending == "diverged") text += "The loss broke away at " + short_number(curve.points.back().rate) + ".\n";
    context.output.answer(answer, text + "The curve: " + csv.string() + ", " + json.string());
    return curve.complete ? 0 : stopped().exit_code();
}

}  // namespace

Run define_lr_range(CLI::App& command) {
    auto options = std::make_shared<RangeOptions>();
    command.add_option("RECIPE", options->recipe.file, "The recipe, a JSON file")->required();
    command.add_option("--from", options->test.from, "The first learning rate")->check(number_from(1e-12, 100));
    command.add_option("--to", options->test.to, "The last learning rate")->check(number_from(1e-12, 100));
    command.add_option("--steps", options->test.steps, "Steps in between")->check(CLI::Range(10, 100000));
    command.add_option("--out", options->out, "The folder for lr-range.csv and lr-range.json; without it, the current one");
    add_set(command, options->recipe);
    return [options](Context& context) { return lr_range(context, *options); };
}

}  // namespace qlora::cli
