#include "core/evaluate/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/error.h"

namespace qlora::evaluate {

namespace {

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

double f1(std::int64_t right, std::int64_t rows, std::int64_t predicted) {
    return ratio(2 * static_cast<double>(right), static_cast<double>(rows + predicted));
}

void require(bool fits, const char* what, std::size_t expected, std::size_t got) {
    if (!fits)
        throw failure("metrics.shape", what, "expected " + std::to_string(expected) + ", got " + std::to_string(got));
}

std::vector<ClassFigures> named_classes(std::span<const std::string> names) {
    std::vector<ClassFigures> classes;
    for (const std::string& name : names) classes.push_back({.name = name});
    return classes;
}

void finish(ClassFigures& figures) {
    const auto right = static_cast<double>(figures.right);
    figures.precision = ratio(right, static_cast<double>(figures.predicted));
    figures.recall = ratio(right, static_cast<double>(figures.rows));
    figures.f1 = f1(figures.right, figures.rows, figures.predicted);
}

double mean(std::span<const double> values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double correlation(std::span<const double> a, std::span<const double> b) {
    const double mean_a = mean(a), mean_b = mean(b);
    double together = 0, square_a = 0, square_b = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double x = a[i] - mean_a, y = b[i] - mean_b;
        together += x * y;
        square_a += x * x;
        square_b += y * y;
    }
    // Two roots: the product of two tiny squares may be 0 where neither is.
    return std::clamp(ratio(together, std::sqrt(square_a) * std::sqrt(square_b)), -1.0, 1.0);
}

// From 1; equal values share the mean of their places.
std::vector<double> ranks(std::span<const double> values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return values[i]; });
    std::vector<double> ranks(values.size());
    for (std::size_t first = 0; first < order.size();) {
        std::size_t end = first + 1;
        while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
        for (std::size_t i = first; i < end; ++i) ranks[order[i]] = static_cast<double>(first + 1 + end) / 2;
        first = end;
    }
    return ranks;
}

}  // namespace

Classification classification(std::span<const std::int64_t> expected, std::span<const std::int64_t> predicted,
                              std::span<const std::string> names) {
    require(expected.size() == predicted.size(), "predicted classes", expected.size(), predicted.size());
    Classification measured;
    measured.rows = static_cast<std::int64_t>(expected.size());
    measured.classes = named_classes(names);
    measured.confusion.assign(names.size(), std::vector<std::int64_t>(names.size(), 0));
    const auto index = [&](std::int64_t label) {
        if (label < 0 || label >= static_cast<std::int64_t>(names.size()))
            throw failure("metrics.shape", "class " + std::to_string(label),
                          "expected one of the " + std::to_string(names.size()) + " classes, from 0");
        return static_cast<std::size_t>(label);
    };
    std::int64_t right = 0;
    for (std::size_t row = 0; row < expected.size(); ++row) {
        const std::size_t truth = index(expected[row]), said = index(predicted[row]);
        ++measured.confusion[truth][said];
        ++measured.classes[truth].rows;
        ++measured.classes[said].predicted;
        if (truth != said) continue;
        ++measured.classes[truth].right;
        ++right;
    }
    double sum = 0, seen = 0;
    for (ClassFigures& figures : measured.classes) {
        finish(figures);
        if (figures.rows + figures.predicted == 0) continue;
        sum += figures.f1;
        ++seen;
    }
    measured.accuracy = ratio(static_cast<double>(right), static_cast<double>(measured.rows));
    measured.macro_f1 = ratio(sum, seen);
    return measured;
}

MultiLabel multi_label(std::span<const std::uint8_t> expected, std::span<const std::uint8_t> predicted,
                       std::span<const std::string> names) {
    require(expected.size() == predicted.size(), "predicted labels", expected.size(), predicted.size());
    const std::size_t width = names.size();
    require(width > 0 ? expected.size() % width == 0 : expected.empty(), "labels a row", width, expected.size());
    MultiLabel measured;
    measured.classes = named_classes(names);
    if (width == 0) return measured;
    measured.rows = static_cast<std::int64_t>(expected.size() / width);
    std::int64_t exact = 0;
    for (std::size_t row = 0; row < expected.size(); row += width) {
        bool all_right = true;
        for (std::size_t label = 0; label < width; ++label) {
            const bool truth = expected[row + label] != 0, said = predicted[row + label] != 0;
            ClassFigures& figures = measured.classes[label];
            figures.rows += truth;
            figures.predicted += said;
            figures.right += truth && said;
            all_right = all_right && truth == said;
        }
        exact += all_right;
    }
    std::int64_t rows = 0, said = 0, right = 0;
    double sum = 0;
    for (ClassFigures& figures : measured.classes) {
        finish(figures);
        rows += figures.rows;
        said += figures.predicted;
        right += figures.right;
        sum += figures.f1;
    }
    measured.exact = ratio(static_cast<double>(exact), static_cast<double>(measured.rows));
    measured.micro_f1 = f1(right, rows, said);
    measured.macro_f1 = sum / static_cast<double>(width);
    return measured;
}

Regression regression(std::span<const double> expected, std::span<const double> predicted) {
    require(expected.size() == predicted.size(), "predicted numbers", expected.size(), predicted.size());
    Regression measured;
    if (expected.empty()) return measured;
    const auto rows = static_cast<double>(expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const double error = predicted[i] - expected[i];
        measured.mean_squared_error += error * error / rows;
        measured.mean_absolute_error += std::abs(error) / rows;
    }
    measured.rows = static_cast<std::int64_t>(expected.size());
    measured.pearson = correlation(expected, predicted);
    measured.spearman = correlation(ranks(expected), ranks(predicted));
    return measured;
}

std::map<std::string, double> figures(const Classification& measured) {
    return {{"accuracy", measured.accuracy}, {"macro_f1", measured.macro_f1}};
}

std::map<std::string, double> figures(const MultiLabel& measured) {
    return {{"exact_match", measured.exact}, {"micro_f1", measured.micro_f1}, {"macro_f1", measured.macro_f1}};
}

std::map<std::string, double> figures(const Regression& measured) {
    return {{"mean_squared_error", measured.mean_squared_error},
            {"mean_absolute_error", measured.mean_absolute_error},
            {"pearson", measured.pearson},
            {"spearman", measured.spearman}};
}

}  // namespace qlora::evaluate
