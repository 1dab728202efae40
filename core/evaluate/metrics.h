#pragma once
// Figures that say how good predictions are. Pure functions on values; any thread. Definitions as in scikit-learn (a
// class without predictions or rows has precision, recall and F1 of 0) and sacreBLEU (chrF). Without rows all are 0.
// Throw failure "metrics.shape" where the two sides do not fit or a class is not among the names.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace qlora::evaluate {

struct ClassFigures {
    std::string name;
    std::int64_t rows = 0, predicted = 0, right = 0;  // rows of this class; rows said to be of it; those that are both
    double precision = 0, recall = 0, f1 = 0;
};

// One label a row.
struct Classification {
    std::int64_t rows = 0;
    double accuracy = 0, macro_f1 = 0;               // macro: the mean over the classes that have rows or predictions
    std::vector<ClassFigures> classes;
    std::vector<std::vector<std::int64_t>> confusion;  // [true class][predicted class]
};
// Both [rows], indices into `names`.
Classification classification(std::span<const std::int64_t> expected, std::span<const std::int64_t> predicted,
                              std::span<const std::string> names);

// Any number of labels a row. Macro: the mean over all labels. Both [rows, names] row by row, not 0: the label is there.
struct MultiLabel {
    std::int64_t rows = 0;
    double exact = 0, micro_f1 = 0, macro_f1 = 0;  // exact: rows with all labels right
    std::vector<ClassFigures> classes;
};
MultiLabel multi_label(std::span<const std::uint8_t> expected, std::span<const std::uint8_t> predicted,
                       std::span<const std::string> names);

// Numbers. Correlations are 0 where one side does not vary.
struct Regression {
    std::int64_t rows = 0;
    double mean_squared_error = 0, mean_absolute_error = 0, pearson = 0, spearman = 0;
};
Regression regression(std::span<const double> expected, std::span<const double> predicted);

// The share of answers equal to what was expected, blanks at the ends aside.
double exact_match(std::span<const std::string> expected, std::span<const std::string> given);
// chrF2 of the whole (Popovic 2015): character n-grams up to 6, blanks left out, beta 2; 0 to 100.
double chrf(std::span<const std::string> expected, std::span<const std::string> given);

// The same figures by the names they have in events, metrics.json and reports: "accuracy", "macro_f1"; "exact_match",
// "micro_f1", "macro_f1"; "mean_squared_error", "mean_absolute_error", "pearson", "spearman".
std::map<std::string, double> figures(const Classification& measured);
std::map<std::string, double> figures(const MultiLabel& measured);
std::map<std::string, double> figures(const Regression& measured);

}  // namespace qlora::evaluate
