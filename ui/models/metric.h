#pragma once
// The figures of evaluations in words: their names, how their values read, which way is better, and which a task shows.

#include <QString>
#include <string>
#include <vector>

#include "core/evaluate/chat.h"

namespace qlora::ui {

struct Metric {
    // share: 0 to 1, shown as percent; of_hundred: 0 to 100; correlation: -1 to 1; amount: 0 and up, less is better.
    enum class Unit { share, of_hundred, correlation, amount };
    std::string key;
    QString name;   // "Macro F1"
    QString help;   // one sentence
    Unit unit = Unit::amount;
    bool known = true;

    bool more_is_better() const { return unit != Unit::amount; }
    QString text(double value) const;                      // "92.1 %", "0.213"; a value that is no number "–"
    QString difference(double from, double to) const;      // "+30.8 points", "−0.12"
};

// Any key; of one that is not known the key is the name, and nothing says which way is better.
Metric metric_of(const std::string& key);

// The value of "loss", "perplexity" or one of the metrics; NaN: not measured.
double value_of(const evaluate::Contender& contender, const std::string& key);

// What the report's task shows of those that were measured, the main one first, the loss last. Never empty: without
// contenders the main ones of the task.
std::vector<std::string> shown_metrics(const evaluate::Report& report);

}  // namespace qlora::ui
