#include "core/data/labels.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
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
    bool any_list = false, any_single = false;
    std::size_t rows = 0, parts = 0, numbers = 0, whole = 0, flags = 0;  // parts of cells; those that are numbers, whole ones, 0 or 1
    std::size_t width = 0;  // of lists, while they are all alike
    bool widths_differ = false;
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
            const auto& number = cell->numbers[i];
            ++found.parts;
            found.numbers += number.has_value();
            found.whole += number && is_whole(*number);
            found.flags += number && (*number == 0 || *number == 1);
        }
    }
    return found;
}

ProblemType problem_of(const Survey& found) {
    // A few cells that are no numbers are mistakes among values, to be told by their rows.
    const bool mostly_numbers = 2 * found.numbers > found.parts;
    if (mostly_numbers && (found.whole < found.numbers || found.words.size() > most_numbered_classes)) return ProblemType::regression;
    return found.any_list ? ProblemType::multi_label : ProblemType::single_label;
}

// The names of classes: the model's where the rows use them, else the rows' own.
void name_classes(Labels& labels, const Survey& found, const std::vector<std::string>& model_names) {
    if (found.any_list && !found.widths_differ && found.width > 1 && found.flags == found.parts) {
        labels.cells = Labels::Cells::flags;
        labels.names = model_names;
        if (labels.names.size() == found.width) return;
        labels.names.clear();
        for (std::size_t i = 0; i < found.width; ++i) labels.names.push_back("label " + std::to_string(i + 1));
        return;
    }
    if (!model_names.empty()) {
        std::set<std::string> known;
        for (const auto& name : model_names) known.insert(lower(name));
        // Among names that are numbers a number could only be a name.
        const bool numbered = std::ranges::any_of(model_names, [](const std::string& name) { return number_in(name).has_value(); });
        const auto is_place = [&](const std::string& word) {
            if (numbered) return false;
            const auto number = number_in(word);
            return number && is_whole(*number) && *number >= 0 && *number < static_cast<double>(model_names.size());
        };
        const bool names = std::ranges::all_of(found.words, [&](const std::string& word) { return known.contains(lower(word)); });
        if (names || std::ranges::all_of(found.words, is_place)) {
            labels.cells = names ? Labels::Cells::names : Labels::Cells::places;
            labels.names = model_names;
            return;
        }
    }
    labels.names.assign(found.words.begin(), found.words.end());
    if (found.whole == found.parts)
        std::ranges::stable_sort(labels.names, {}, [](const std::string& word) { return number_in(word).value_or(0); });
}

// A class's place among the names; nothing for another word.
std::optional<std::size_t> place_of(const std::string& word, const Labels& labels) {
    if (labels.cells == Labels::Cells::places) {
        const auto number = number_in(word);
        const bool known = number && is_whole(*number) && *number >= 0 && *number < static_cast<double>(labels.names.size());
        return known ? std::optional(static_cast<std::size_t>(*number)) : std::nullopt;
    }
    auto equal = std::ranges::find(labels.names, word);
    if (equal == labels.names.end())
        equal = std::ranges::find_if(labels.names, [&](const std::string& name) { return lower(name) == lower(word); });
    return equal == labels.names.end() ? std::nullopt : std::optional(static_cast<std::size_t>(equal - labels.names.begin()));
}

// The places of the classes that a cell holds. `unknown` is told of words that are none.
std::vector<std::size_t> places_in(const Cell& cell, const Labels& labels, const std::function<void(const std::string&)>& unknown) {
    std::vector<std::size_t> places;
    if (labels.cells == Labels::Cells::flags) {
        for (std::size_t i = 0; i < cell.words.size(); ++i) {
            const bool flag = i < labels.names.size() && cell.numbers[i] && (*cell.numbers[i] == 0 || *cell.numbers[i] == 1);
            if (!flag) unknown(cell.words[i]);
            else if (*cell.numbers[i] == 1) places.push_back(i);
        }
        return places;
    }
    for (const auto& word : cell.words) {
        if (const auto place = place_of(word, labels)) places.push_back(*place);
        else unknown(word);
    }
    return places;
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
    name_classes(labels, found, options.model_names);
    if (labels.names.empty())
        fail_all(table, roles, "expected labels, got nothing but empty lists", "Choose the column that holds them.");
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
    if (labels.cells == Labels::Cells::flags && cell->words.size() != labels.names.size())
        reader.fail(row, "expected a 0 or 1 for each of " + std::to_string(labels.names.size()) + " labels, got " + std::to_string(cell->words.size()));
    const auto places = places_in(*cell, labels, [&](const std::string& word) {
        reader.fail(row, "expected one of the training data's labels (" + listed(labels.names) + "), got \"" + word + "\"",
                    "Correct the label, or add training rows with it.");
    });
    if (single) return {static_cast<float>(places.at(0))};
    values.assign(labels.names.size(), 0.0f);
    for (const std::size_t place : places) values[place] = 1;
    return values;
}

std::string label_text(const Table& table, std::size_t row, const ColumnRoles& roles, const Labels& labels) {
    const auto cell = Reader(table, roles).cell(row);
    std::string text;
    auto add = [&](const std::string& word) { text += (text.empty() ? "" : ", ") + word; };
    if (!cell) return text;
    if (labels.type == ProblemType::regression)
        for (const auto& word : cell->words) add(word);
    else
        for (const std::size_t place : places_in(*cell, labels, add)) add(labels.names[place]);
    return text;
}

std::vector<std::size_t> class_counts(const Table& table, std::span<const RowIndex> rows, const ColumnRoles& roles, const Labels& labels) {
    if (labels.type == ProblemType::regression) return {};
    std::vector<std::size_t> counts(labels.names.size());
    const Reader reader(table, roles);
    for (const RowIndex row : rows)
        if (const auto cell = reader.cell(row))
            for (const std::size_t place : places_in(*cell, labels, [](const std::string&) {})) ++counts[place];
    return counts;
}

}  // namespace qlora::data
