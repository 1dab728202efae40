#include "core/search/events.h"

namespace qlora::search {

namespace {

OrderedJson finite(double value) { return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr); }

OrderedJson json_of(const TrialStarted& event) {
    return {{"event", "trial_started"}, {"trial", event.trial.number}, {"trials", event.trials}, {"rung", event.rung + 1},
            {"rungs", event.rungs}, {"baseline", event.trial.baseline}, {"values", event.trial.values}, {"run", event.run}};
}

OrderedJson json_of(const TrialTold& event) {
    OrderedJson json = train::to_json(event.event);
    json["trial"] = event.trial;
    return json;
}

OrderedJson json_of(const TrialEnded& event) {
    OrderedJson json = {{"event", "trial_finished"}, {"trial", event.trial.number}, {"value", finite(event.trial.value())}};
    json.update(to_json(event.trial));
    json.erase("number");
    return json;
}

OrderedJson json_of(const Best& event) {
    return {{"event", "best"}, {"trial", event.trial.number}, {"value", finite(event.value)}, {"values", event.trial.values}};
}

OrderedJson json_of(const Ended& event) {
    return {{"event", "search_finished"}, {"folder", event.folder}, {"reason", event.reason}, {"completed", event.completed},
            {"failed", event.failed}, {"left", event.left}, {"waiting", event.waiting},
            {"winner", event.winner > 0 ? OrderedJson(event.winner) : OrderedJson(nullptr)},
            {"value", event.winner > 0 ? finite(event.value) : OrderedJson(nullptr)}, {"best", event.best}};
}

}  // namespace

OrderedJson to_json(const Event& event) {
    return std::visit([](const auto& it) { return json_of(it); }, event);
}

}  // namespace qlora::search
