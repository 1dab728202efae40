#include "core/data/labels.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "core/base/error.h"
#include "core/data/row_source.h"

namespace qlora::data {

using recipe::ProblemType;

namespace {

constexpr std::size_t most_classes = 1000;
constexpr std::size_t most_numbered_classes = 100;  // more different whole numbers are values, not classes

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

std::optional<double> number_in(const std::string& text) {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    return read.ec == std::errc() && read.ptr == end ? std::optional(value) : std::nullopt;
}

bool is_whole(double value) { return value == std::floor(value) && std::abs(value) < 1e9; }

// A label as it stands in the cell: its parts, a single one unless the cell is a list.
struct Cell {
    bool list = false;
    std::vector<std::string> words;                // as classes
    std::vector<std::optional<double>> numbers;  // where they are numbers
};

class Reader {
  public:
    Reader(const Table& table, const ColumnRoles& roles) : table_(table), roles_(roles), column_(find()) {}

    [[noreturn]] void fail(std::size_t row, const std::string& message, const std::string& hint = {}) const {
        throw input_error("data.label", table_.where(row), "the column \"" + roles_.label + "\": " + message, hint);
    }

    // Nothing where the cell is empty.
    std::optional<Cell> cell(std::size_t row) const {
        const Json value = table_.cell(row, column_);
        Cell cell;
        if (value.is_null()) return {};
        if (value.is_string() && detail::is_blank(value.get_ref<const std::string&>())) return {};
        if (!value.is_array()) {
            add(row, value, cell);
            return cell;
        }
        cell.list = true;
        for (const Json& part : value) add(row, part, cell);
        return cell;
    }

  private:
    std::size_t find() const {
        const auto found = table_.column(roles_.label);
        if (!found) require_roles(table_, roles_);  // throws
        return found.value();
    }

    void add(std::size_t row, const Json& value, Cell& cell) const {
        if (value.is_boolean()) {
            cell.words.push_back(value.get<bool>() ? "true" : "false");
            cell.numbers.push_back(std::nullopt);
        } else if (value.is_string()) {
            std::string word = value.get<std::string>();
            const auto first = word.find_first_not_of(" \t\r\n"), last = word.find_last_not_of(" \t\r\n");
            word = first == std::string::npos ? std::string() : word.substr(first, last - first + 1);
            if (word.empty()) fail(row, "expected a label, got blanks");
            cell.numbers.push_back(number_in(word));
            if (cell.numbers.back() && !std::isfinite(*cell.numbers.back())) cell.numbers.back().reset();
            cell.words.push_back(std::move(word));
        } else if (value.is_number()) {
            const double number = value.get<double>();
            if (!std::isfinite(number)) fail(row, "expected a finite number, got " + describe(value));
            cell.numbers.push_back(number);
            cell.words.push_back(is_whole(number) ? std::to_string(std::llround(number)) : value.dump());
        } else {
            fail(row, "expected text, a number, true or false, or a list of them, got " + describe(value));
        }
    }

    const Table& table_;
    const ColumnRoles& roles_;
    std::size_t column_;
};

[[noreturn]] void fail_all(const Table& table, const ColumnRoles& roles, const std::string& message, const std::string& hint) {
    throw input_error("data.labels", table.label(), "the column \"" + roles.label + "\": " + message, hint);
}

// Everything that the rows say.
struct Survey {
    std::set<std::string> words;
    bool any_list = false, any_single = false, all_numbers = true, all_whole = true;
    std::size_t width = 0;     // of lists, while they are all alike
    bool widths_differ = false;
    std::size_t rows = 0;
};

Survey survey(const Reader& reader, std::span<const RowIndex> rows) {
    Survey found;
    for (const RowIndex row : rows) {
        const auto cell = reader.cell(row);
        if (!cell) continue;
        (cell->list ? found.any_list : found.any_single) = true;
        if (found.any_list && found.any_single)
            reader.fail(row, "expected " + std::string(cell->list ? "a single label" : "a list of labels") + " as in the rows before");
        if (found.rows++ == 0) found.width = cell->words.size();
        found.widths_differ = found.widths_differ || found.width != cell->words.size();
        for (std::size_t i = 0; i < cell->words.size(); ++i) {
            if (found.words.size() <= most_classes) found.words.insert(cell->words[i]);
            found.all_numbers = found.all_numbers && cell->numbers[i].has_value();
            found.all_whole = found.all_whole && cell->numbers[i] && is_whole(*cell->numbers[i]);
        }
    }
    return found;
}

ProblemType problem_of(const Survey& found) {
    const bool values = found.all_numbers && (!found.all_whole || found.words.size() > most_numbered_classes);
    if (values) return ProblemType::regression;
    return found.any_list ? ProblemType::multi_label : ProblemType::single_label;
}

// The place that a whole number gives among names that are words; among names that are numbers it could only be a name.
std::optional<std::size_t> numbered_place(const std::string& word, const std::vector<std::string>& names) {
    const auto number = number_in(word);
    if (!number || !is_whole(*number) || *number < 0 || *number >= static_cast<double>(names.size())) return {};
    if (std::ranges::any_of(names, [](const std::string& name) { return number_in(name).has_value(); })) return {};
    return static_cast<std::size_t>(*number);
}

// The model's names where the rows use them, else the rows' own.
std::vector<std::string> class_names(const Survey& found, const std::vector<std::string>& model_names) {
    if (!model_names.empty()) {
        std::set<std::string> known;
        for (const auto& name : model_names) known.insert(lower(name));
        const auto is_place = [&](const std::string& word) { return numbered_place(word, model_names).has_value(); };
        const auto is_name = [&](const std::string& word) { return known.contains(lower(word)); };
        if (std::ranges::all_of(found.words, is_name) || std::ranges::all_of(found.words, is_place)) return model_names;
    }
    std::vector<std::string> names(found.words.begin(), found.words.end());
    if (found.all_whole) std::ranges::stable_sort(names, {}, [](const std::string& word) { return number_in(word).value_or(0); });
    return names;
}

// A class's place among the names; nothing for another word.
std::optional<std::size_t> place_of(const std::string& word, const Labels& labels) {
    auto equal = std::ranges::find(labels.names, word);
    if (equal == labels.names.end())
        equal = std::ranges::find_if(labels.names, [&](const std::string& name) { return lower(name) == lower(word); });
    if (equal != labels.names.end()) return static_cast<std::size_t>(equal - labels.names.begin());
    return numbered_place(word, labels.names);
}

std::string listed(const std::vector<std::string>& names) {
    std::string list;
    for (const auto& name : names) {
        if (list.size() > 200) return list + ", ...";
        list += (list.empty() ? "\"" : ", \"") + name + "\"";
    }
    return list;
}

}  // namespace

Labels read_labels(const Table& table, const ColumnRoles& roles, std::span<const RowIndex> rows, const LabelOptions& options) {
    const Survey found = survey(Reader(table, roles), rows);
    if (found.rows == 0) fail_all(table, roles, "expected labels, got nothing but empty cells", "Choose the column that holds them.");
    Labels labels;
    labels.type = options.type == ProblemType::automatic ? problem_of(found) : options.type;
    if (labels.type == ProblemType::regression) {
        if (!found.all_numbers) fail_all(table, roles, "expected numbers for a regression, got \"" + *found.words.begin() + "\" among others",
                                         "Choose another column, or set data.problem_type to auto.");
        if (found.widths_differ) fail_all(table, roles, "expected the same number of values in every row", "");
        for (std::size_t i = 0; i < found.width; ++i)
            labels.names.push_back(found.width == 1 ? "value" : "value " + std::to_string(i + 1));
        return labels;
    }
    if (labels.type == ProblemType::single_label && found.any_list)
        fail_all(table, roles, "expected one label a row, got lists", "Set data.problem_type to multi_label_classification.");
    if (found.words.size() > most_classes)
        fail_all(table, roles, "expected at most " + std::to_string(most_classes) + " classes, got more",
                 "Choose the column that holds the class, not a text or a number of the row.");
    labels.names = class_names(found, options.model_names);
    if (labels.names.size() < 2 && labels.type == ProblemType::single_label)
        fail_all(table, roles, "expected at least two classes, got only " + listed(labels.names), "There is nothing to tell apart.");
    return labels;
}

std::vector<float> read_label(const Table& table, std::size_t row, const ColumnRoles& roles, const Labels& labels) {
    const Reader reader(table, roles);
    const auto cell = reader.cell(row);
    if (!cell) return {};
    std::vector<float> values;
    if (labels.type == ProblemType::regression) {
        if (cell->words.size() != labels.names.size())
            reader.fail(row, "expected " + std::to_string(labels.names.size()) + " values, got " + std::to_string(cell->words.size()));
        for (std::size_t i = 0; i < cell->words.size(); ++i) {
            if (!cell->numbers[i]) reader.fail(row, "expected a number, got \"" + cell->words[i] + "\"");
            values.push_back(static_cast<float>(*cell->numbers[i]));
        }
        return values;
    }
    const bool single = labels.type == ProblemType::single_label;
    if (single && cell->list) reader.fail(row, "expected one label, got a list");
    if (!single) values.assign(labels.names.size(), 0.0f);
    for (const auto& word : cell->words) {
        const auto place = place_of(word, labels);
        if (!place)
            reader.fail(row, "expected one of the training rows' labels (" + listed(labels.names) + "), got \"" + word + "\"",
                        "Correct the label, or add training rows with it.");
        if (single) values.push_back(static_cast<float>(*place));
        else values[*place] = 1;
    }
    return values;
}

std::string label_text(const Table& table, std::size_t row, const ColumnRoles& roles, const Labels& labels) {
    const auto cell = Reader(table, roles).cell(row);
    std::string text;
    if (!cell) return text;
    for (const auto& word : cell->words) {
        const auto place = labels.type == ProblemType::regression ? std::nullopt : place_of(word, labels);
        text += (text.empty() ? "" : ", ") + (place ? labels.names[*place] : word);
    }
    return text;
}

std::vector<std::size_t> class_counts(const Table& table, std::span<const RowIndex> rows, const ColumnRoles& roles, const Labels& labels) {
    if (labels.type == ProblemType::regression) return {};
    std::vector<std::size_t> counts(labels.names.size());
    const Reader reader(table, roles);
    for (const RowIndex row : rows)
        if (const auto cell = reader.cell(row))
            for (const auto& word : cell->words)
                if (const auto place = place_of(word, labels)) ++counts[*place];
    return counts;
}

}  // namespace qlora::data
