#include "ui/models/trial_axes.h"

#include <algorithm>
#include <cmath>

#include "core/recipe/fields.h"
#include "ui/models/metric.h"
#include "ui/widgets/field_editor.h"
#include "ui/widgets/number_box.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

constexpr std::size_t most_choices = 12;

// As the form has it: 0.01, 3.2e-4; three figures.
QString number_text(double value) { return NumberBox::text_of(QString::number(value, 'g', 3).toDouble(), false); }

TrialAxis axis_of(const search::Axis& varied, const std::vector<search::Trial>& trials) {
    TrialAxis axis;
    axis.name = field_label(varied.key);
    const auto* field = recipe::find_field(varied.key);
    const bool numbers = field->type == recipe::Field::Type::real || field->type == recipe::Field::Type::integer;
    std::vector<Json> values = varied.values;
    for (const auto& trial : trials)
        if (const auto found = trial.values.find(varied.key); found != trial.values.end() && std::ranges::find(values, found->second) == values.end())
            values.push_back(found->second);
    if (varied.scale == search::Axis::Scale::values && (!numbers || values.size() <= most_choices)) {
        axis.kind = TrialAxis::Kind::choices;
        if (numbers) std::ranges::sort(values, {}, [](const Json& value) { return value.get<double>(); });
        axis.choices = std::move(values);
        return axis;
    }
    axis.low = INFINITY, axis.high = -INFINITY;
    const auto take = [&](double value) { axis.low = std::min(axis.low, value), axis.high = std::max(axis.high, value); };
    if (varied.scale != search::Axis::Scale::values) take(varied.low), take(varied.high);
    for (const Json& value : values)
        if (value.is_number()) take(value.get<double>());
    axis.kind = varied.scale == search::Axis::Scale::log && axis.low > 0 ? TrialAxis::Kind::log : TrialAxis::Kind::linear;
    return axis;
}

}  // namespace

double TrialAxis::at(const Json& value) const {
    double place = NAN;
    if (kind == Kind::choices) {
        const auto found = std::ranges::find(choices, value);
        if (found == choices.end()) return NAN;
        return (double(found - choices.begin()) + 0.5) / double(choices.size());
    }
    if (!value.is_number()) return NAN;
    const double number = value.get<double>();
    if (!(high > low)) place = 0.5;
    else if (kind == Kind::log) place = number > 0 ? std::log(number / low) / std::log(high / low) : NAN;
    else place = (number - low) / (high - low);
    return better_below ? 1 - place : place;
}

std::vector<TrialAxis::Tick> TrialAxis::ticks() const {
    std::vector<Tick> ticks;
    if (kind == Kind::choices) {
        for (const Json& choice : choices) ticks.push_back({at(choice), value_text({}, choice)});
        return ticks;
    }
    const auto add = [&](double value) { ticks.push_back({at(value), metric.empty() ? number_text(value) : search_metric_text(metric, value)}); };
    add(low);
    if (high > low) {
        if (kind == Kind::log) {
            // Whole powers of ten, not closer to an end than its label needs.
            for (double power = std::ceil(std::log10(low)); power <= std::log10(high); ++power)
                if (const double place = at(std::pow(10, power)); place > 0.12 && place < 0.88) add(std::pow(10, power));
        } else {
            add((low + high) / 2);
        }
        add(high);
    }
    return ticks;
}

std::vector<TrialAxis> trial_axes(const search::Search& search, const std::vector<search::Trial>& trials) {
    std::vector<TrialAxis> axes;
    for (const auto& varied : search.axes) axes.push_back(axis_of(varied, trials));
    TrialAxis metric;
    metric.name = search_metric_name(search.metric);
    metric.metric = search.metric;
    metric.better_below = !search.maximize;
    metric.low = INFINITY, metric.high = -INFINITY;
    for (const auto& trial : trials)
        if (std::isfinite(trial.value())) metric.low = std::min(metric.low, trial.value()), metric.high = std::max(metric.high, trial.value());
    if (!(metric.low <= metric.high)) metric.low = 0, metric.high = 1;
    axes.push_back(metric);
    return axes;
}

std::vector<double> places_of(const search::Trial& trial, const search::Search& search, const std::vector<TrialAxis>& axes) {
    std::vector<double> places;
    for (std::size_t i = 0; i < search.axes.size(); ++i) {
        const auto value = trial.values.find(search.axes[i].key);
        places.push_back(value == trial.values.end() ? NAN : axes[i].at(value->second));
    }
    places.push_back(std::isfinite(trial.value()) ? axes.back().at(trial.value()) : NAN);
    return places;
}

QString value_text(const std::string& key, const Json& value) {
    if (value.is_boolean()) return value.get<bool>() ? FieldEditor::tr("on") : FieldEditor::tr("off");
    if (value.is_number_integer()) return QString::number(value.get<qint64>());
    if (value.is_number()) return number_text(value.get<double>());
    if (value.is_string()) return choice_text(key, value.get<std::string>());
    QStringList words;
    if (value.is_array())
        for (const Json& item : value) words << (item.is_string() ? QString::fromStdString(item.get<std::string>()) : value_text(key, item));
    return words.join(u" + "_s);
}

QString field_label(const std::string& key) {
    const auto* field = recipe::find_field(key);
    return QString::fromStdString(field ? field->label : key);
}

QString search_metric_name(const std::string& metric) {
    if (metric == "validation_loss") return FieldEditor::tr("Validation loss");
    if (metric == "train_loss") return FieldEditor::tr("Training loss");
    return metric_of(metric).name;
}

QString search_metric_text(const std::string& metric, double value) {
    if (!std::isfinite(value)) return u"–"_s;
    return metric.ends_with("_loss") ? QString::number(value, 'f', 4) : metric_of(metric).text(value);
}

}  // namespace qlora::ui
