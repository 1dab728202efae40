#include "app/qlora/search_log.h"

#include <algorithm>
#include <cmath>

#include "app/qlora/format.h"

namespace qlora::cli {

namespace {

bool is_for_json(const search::Event& event) {
    const auto* told = std::get_if<search::TrialTold>(&event);
    return told == nullptr || (!std::holds_alternative<train::Progressed>(told->event) && !std::holds_alternative<train::MemorySample>(told->event));
}

std::string value_text(const Json& value) {
    if (value.is_number_float()) return short_number(value.get<double>());
    if (value.is_string()) return value.get<std::string>();
    if (!value.is_array()) return value.dump();
    std::string text;
    for (const Json& item : value) text += (text.empty() ? "" : "+") + value_text(item);
    return text;
}

std::string last_part(const std::string& key) { return key.substr(key.rfind('.') + 1); }

std::string status_text(const search::Trial& trial) {
    using enum search::Trial::Status;
    switch (trial.status) {
        case waiting: return "waiting";
        case running: return "interrupted";
        case between: return "may go on";
        case completed: return "completed";
        case left: return "left at rung " + std::to_string(trial.rungs.size());
        case failed: break;
    }
    return "failed";
}

}  // namespace

std::string values_text(const search::Values& values) {
    std::string text;
    for (const auto& [key, value] : values) text += (text.empty() ? "" : ", ") + last_part(key) + " " + value_text(value);
    return text;
}

std::string trials_table(const search::Search& search, const std::vector<search::Trial>& trials) {
    std::vector<std::vector<std::string>> rows{{"", "TRIAL", search.metric, "STEPS", "TIME", "STATUS"}};
    for (const auto& axis : search.axes) rows[0].push_back(last_part(axis.key));
    auto order = search::ranking(search, trials);
    const std::size_t ranked = order.size();
    for (std::size_t i = 0; i < trials.size(); ++i)
        if (std::find(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(ranked), i) == order.begin() + static_cast<std::ptrdiff_t>(ranked))
            order.push_back(i);
    for (std::size_t place = 0; place < order.size(); ++place) {
        const search::Trial& trial = trials[order[place]];
        rows.push_back({place < ranked ? std::to_string(place + 1) : "", std::to_string(trial.number), fixed(trial.value(), 4),
                        std::to_string(trial.steps) + "/" + std::to_string(trial.all_steps), duration_text(trial.seconds), status_text(trial)});
        for (const auto& axis : search.axes) rows.back().push_back(value_text(trial.values.at(axis.key)));
        if (trial.baseline) rows.back().push_back("the recipe as it is");
        if (!trial.reason.empty()) rows.back().push_back(trial.reason);
    }
    return table(rows);
}

void SearchLog::operator()(const search::Event& event) {
    if (!output_.json()) return std::visit([this](const auto& it) { show(it); }, event);
    if (is_for_json(event) && !output_.line(search::to_json(event).dump(-1, ' ', false, OrderedJson::error_handler_t::replace)))
        control_.stop_and_save();
}

void SearchLog::say(const std::string& text) {
    live_.clear();
    output_.note(text);
}

void SearchLog::show(const search::TrialStarted& event) {
    steps_ = event.trial.all_steps;
    std::string text = "Trial " + std::to_string(event.trial.number) + " of " + std::to_string(event.trials);
    if (event.rungs > 1) text += ", rung " + std::to_string(event.rung + 1) + " of " + std::to_string(event.rungs);
    say(text + (event.trial.baseline ? ", the recipe as it is: " : ": ") + values_text(event.trial.values));
}

void SearchLog::show(const search::TrialTold& event) {
    if (const auto* progressed = std::get_if<train::Progressed>(&event.event)) return live_.progress()(progressed->what.c_str(), progressed->done, progressed->total);
    if (const auto* loaded = std::get_if<train::Loaded>(&event.event)) steps_ = loaded->steps;
    if (const auto* step = std::get_if<train::StepDone>(&event.event))
        live_.show("  step " + std::to_string(step->step) + "/" + std::to_string(steps_) + "  loss " + fixed(step->loss, 4));
    if (const auto* evaluated = std::get_if<train::Evaluated>(&event.event); evaluated != nullptr && live_.shown()) {
        std::string line = "  step " + std::to_string(evaluated->step) + "  validation loss " + fixed(evaluated->loss, 4);
        for (const auto& [name, value] : evaluated->metrics) line += "  " + name + " " + short_number(value);
        live_.show(line);
    }
}

void SearchLog::show(const search::TrialEnded& event) {
    const search::Trial& trial = event.trial;
    if (trial.status == search::Trial::Status::failed) return say("  failed: " + trial.reason);
    say("  " + metric_ + " " + fixed(trial.value(), 4) + " after " + std::to_string(trial.steps) + " steps in " + duration_text(trial.seconds));
}

void SearchLog::show(const search::Best& event) {
    say("  best so far: trial " + std::to_string(event.trial.number) + " with " + metric_ + " " + fixed(event.value, 4));
}

}  // namespace qlora::cli
