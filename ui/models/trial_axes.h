#pragma once
// Where the values of a search's trials lie on upright axes: one for every varied field, and one for the metric at the end.

#include <QString>
#include <QStringList>
#include <vector>

#include "core/search/trial.h"

namespace qlora::ui {

struct TrialAxis {
    enum class Kind { linear, log, choices };
    QString name;
    Kind kind = Kind::linear;
    double low = 0, high = 1;          // of numbers
    std::vector<Json> choices{};       // of choices, from the foot up
    std::string metric{};              // of the metric's axis
    bool better_below = false;         // of a metric to be made small: the axis is turned round, better is always up

    // 0 at the foot to 1 at the top; NaN for what has no place.
    double at(const Json& value) const;
    struct Tick {
        double at = 0;
        QString text;
    };
    std::vector<Tick> ticks() const;
};

// The axes for these trials; the last one is the metric's. A range's ends, or what the trials have outside of it.
std::vector<TrialAxis> trial_axes(const search::Search& search, const std::vector<search::Trial>& trials);
// A trial's place on each of them; the metric's is NaN while it has none.
std::vector<double> places_of(const search::Trial& trial, const search::Search& search, const std::vector<TrialAxis>& axes);

// A value for people: "3.2e-4", "query + key", "on".
QString value_text(const std::string& key, const Json& value);
// The label of a field, or the key where there is none.
QString field_label(const std::string& key);
// The name and the figure of a search's metric.
QString search_metric_name(const std::string& metric);
QString search_metric_text(const std::string& metric, double value);

}  // namespace qlora::ui
