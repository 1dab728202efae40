#include "ui/models/metric.h"

#include <QCoreApplication>
#include <algorithm>
#include <cmath>

#include "ui/format/format.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;

namespace {

QString tr(const char* text) { return QCoreApplication::translate("Metric", text); }

const std::vector<Metric>& metrics() {
    using enum Metric::Unit;
    static const std::vector<Metric> all{
        {"accuracy", tr("Accuracy"), tr("The share of rows whose class is right."), share},
        {"macro_f1", tr("Macro F1"), tr("F1 of each class, averaged: rare classes count as much as frequent ones."), share},
        {"micro_f1", tr("Micro F1"), tr("F1 over all labels of all rows: frequent labels count for more."), share},
        {"exact_match", tr("Exact match"), tr("The share of rows whose whole answer is the expected one."), share},
        {"chrf", tr("chrF"), tr("How many short strings of letters an answer shares with the expected one, 0 to 100."),
         of_hundred},
        {"pearson", tr("Pearson"), tr("How nearly predictions and data lie on a line, −1 to 1."), correlation},
        {"spearman", tr("Spearman"), tr("How nearly predictions and data have the same order, −1 to 1."), correlation},
        {"mean_absolute_error", tr("Mean error"), tr("How far predictions are off, on average. Lower is better."), amount},
        {"mean_squared_error", tr("Squared error"), tr("The mean of the squared errors. Lower is better."), amount},
        {"perplexity", tr("Perplexity"),
         tr("Between how many tokens the model wavers, on average. Lower is better."), amount},
        {"loss", tr("Loss"), tr("What training makes small, on rows it has not seen. Lower is better."), amount},
    };
    return all;
}

// The main one of each kind of task is the first of these that was measured.
std::vector<std::string> order_of(recipe::Task task) {
    switch (task) {
        case recipe::Task::classification:
            return {"accuracy", "micro_f1", "mean_absolute_error", "macro_f1", "exact_match", "pearson", "spearman", "loss"};
        case recipe::Task::seq2seq: return {"chrf", "exact_match", "perplexity", "loss"};
        case recipe::Task::causal_lm: break;
    }
    return {"perplexity", "exact_match", "chrf", "loss"};
}

std::vector<std::string> main_of(recipe::Task task) {
    switch (task) {
        case recipe::Task::classification: return {"accuracy", "macro_f1", "loss"};
        case recipe::Task::seq2seq: return {"chrf", "exact_match", "perplexity", "loss"};
        case recipe::Task::causal_lm: break;
    }
    return {"perplexity", "loss"};
}

}  // namespace

QString Metric::text(double value) const {
    if (!std::isfinite(value)) return u"–"_s;
    if (unit == Unit::share) return QString::number(100 * value, 'f', 1) + u" %"_s;
    if (unit == Unit::of_hundred) return QString::number(value, 'f', 1);
    if (unit == Unit::correlation) return QString::number(value, 'f', 3).replace(u'-', u'−');
    return format::figure(value);
}

QString Metric::difference(double from, double to) const {
    const double by = to - from;
    if (!std::isfinite(by)) return u"–"_s;
    const QString sign = by > 0 ? u"+"_s : by < 0 ? u"−"_s : QString();
    if (unit == Unit::share) return tr("%1%2 points").arg(sign, QString::number(100 * std::abs(by), 'f', 1));
    return sign + text(std::abs(by));
}

Metric metric_of(const std::string& key) {
    const auto known = std::ranges::find(metrics(), key, &Metric::key);
    if (known != metrics().end()) return *known;
    return {key, QString::fromStdString(key), {}, Metric::Unit::amount, false};
}

double value_of(const evaluate::Contender& contender, const std::string& key) {
    if (key == "loss") return contender.loss;
    if (key == "perplexity" && contender.perplexity != 0) return contender.perplexity;
    const auto value = contender.metrics.find(key);
    return value == contender.metrics.end() ? NAN : value->second;
}

std::vector<std::string> shown_metrics(const evaluate::Report& report) {
    std::vector<std::string> shown;
    for (const auto& key : order_of(report.task))
        if (std::ranges::any_of(report.contenders,
                                [&](const auto& contender) { return !std::isnan(value_of(contender, key)); }))
            shown.push_back(key);
    return shown.empty() ? main_of(report.task) : shown;
}

}  // namespace qlora::ui
