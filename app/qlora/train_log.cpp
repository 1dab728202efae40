#include "app/qlora/train_log.h"

#include "app/qlora/format.h"

namespace qlora::cli {

namespace {

bool is_for_json(const train::Event& event) {
    return !std::holds_alternative<train::Progressed>(event) &&
           !std::holds_alternative<train::MemorySample>(event);
}

std::string ending(const std::string& reason) {
    if (reason == "completed") return "Finished";
    if (reason == "early_stopping") return "Stopped early, as the validation loss no longer improved,";
    if (reason == "stopped_and_saved") return "Stopped and saved";
    return "Stopped";
}

}  // namespace

void TrainLog::operator()(const train::Event& event) {
    if (!output_.json()) return std::visit([this](const auto& it) { show(it); }, event);
    if (is_for_json(event) && !output_.line(train::to_line(event))) control_.stop_and_save();
}

void TrainLog::say(const std::string& text) {
    live_.clear();
    output_.note(text);
}

void TrainLog::show(const train::Progressed& event) {
    live_.progress()(event.what.c_str(), event.done, event.total);
}

void TrainLog::show(const train::Loaded& event) {
    steps_ = event.steps;
    first_step_ = event.first_step;
    say(event.model + " (" + event.family + ", " + event.precision + ") on " + event.device + " in " +
        event.compute + (event.processes > 1 ? ", " + std::to_string(event.processes) + " processes" : "") + ", loaded in " + duration_text(event.load_seconds));
    say(count_text(event.trainable_parameters) + " of " + count_text(event.parameters) +
        " parameters are trained on " + count_text(event.train_rows) + " rows; " +
        count_text(event.validation_rows) + " held out for validation, " + count_text(event.test_rows) +
        " for testing");
    if (event.dropped_rows > 0) say(count_text(event.dropped_rows) + " rows were left out");
    if (first_step_ > 0) say("Going on after step " + std::to_string(first_step_));
}

void TrainLog::show(const train::StepDone& event) {
    step_seconds_ += event.seconds;
    double mean = step_seconds_ / static_cast<double>(std::max<std::int64_t>(1, event.step - first_step_));
    std::string total = std::to_string(steps_), number = std::to_string(event.step);
    number.insert(0, total.size() - std::min(total.size(), number.size()), ' ');
    std::string line = "step " + number + "/" + total + "  loss " + fixed(event.loss, 4) + "  lr " +
                       short_number(event.learning_rate) + "  grad " + short_number(event.grad_norm) + "  " +
                       fixed(event.tokens_per_second, 0) + " tokens/s  " + bytes_text(event.peak_bytes);
    if (event.skipped) return say(line + "  skipped: not a finite number");
    if (!live_.shown()) return say(line);
    live_.show(line + "  " + duration_text(mean * static_cast<double>(steps_ - event.step)) + " left");
}

void TrainLog::show(const train::Evaluated& event) {
    std::string line = "step " + std::to_string(event.step) + "  validation loss " + fixed(event.loss, 4);
    for (const auto& [name, value] : event.metrics) line += "  " + name + " " + short_number(value);
    say(line + (event.best ? "  best so far" : ""));
    for (const train::Sample& sample : event.samples) {
        say("  > " + sample.prompt);
        if (!sample.base.empty()) say("    base:  " + sample.base);
        say("    tuned: " + sample.tuned);
    }
}

void TrainLog::show(const train::Checkpointed& event) {
    say("step " + std::to_string(event.step) + "  checkpoint saved");
}

void TrainLog::show(const train::Notice& event) {
    say("Note: " + event.message + (event.hint.empty() ? "" : " " + event.hint));
}

void TrainLog::show(const train::Finished& event) {
    live_.clear();
    std::string text = ending(event.reason) + " after " + count_text(event.steps) + " steps in " +
                       duration_text(event.seconds) + ", at most " + bytes_text(event.peak_bytes) + "\n";
    for (const auto& [name, value] : event.metrics) text += "  " + name + " " + fixed(value, 4) + "\n";
    if (event.best_step > 0) text += "  best step " + std::to_string(event.best_step) + "\n";
    output_.answer({}, text + event.run);
}

}  // namespace qlora::cli
