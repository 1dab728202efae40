#include "ui/models/search_draft.h"

#include <QStringList>
#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/search/rungs.h"
#include "ui/widgets/number_box.h"

namespace qlora::ui {

using namespace Qt::StringLiterals;
using recipe::Field;

namespace {

QString number(double value, const Field& field) {
    return NumberBox::text_of(std::clamp(value, field.low, field.high), field.type == Field::Type::integer);
}

QString one_value(const Json& value) {
    if (value.is_boolean()) return value.get<bool>() ? u"true"_s : u"false"_s;
    if (value.is_string()) return QString::fromStdString(value.get<std::string>());
    QStringList words;
    if (value.is_array())
        for (const Json& word : value) words << QString::fromStdString(word.get<std::string>());
    return value.is_array() ? words.join(u", "_s) : QString::fromStdString(value.dump());
}

QString numbers_around(double value, const Field& field) {
    QStringList numbers;
    for (double factor : {0.5, 1.0, 2.0}) {
        const double at = field.type == Field::Type::integer ? std::round(value * factor) : value * factor;
        if (const QString text = number(at, field); !numbers.contains(text)) numbers << text;
    }
    return numbers.join(u", "_s);
}

}  // namespace

std::vector<const Field*> variable_fields(const recipe::Recipe& recipe) {
    std::vector<const Field*> fields;
    for (const Field& field : recipe::fields()) {
        if (!field.has_effect(recipe)) continue;
        if (field.key == "output" || field.key == "name" || field.key == "task") continue;
        if (field.type == Field::Type::choice && field.choices.size() < 2) continue;
        if (field.key.starts_with("evaluate.") || field.key.starts_with("data.columns")) continue;  // change what is measured, or break it
        fields.push_back(&field);
    }
    return fields;
}

SearchRow suggested_row(const Field& field, const recipe::Recipe& recipe) {
    SearchRow row{field.key, {}, false};
    const Json value = field.get(recipe);
    if (field.key == "method.rank") return row.values = u"4, 8, 16, 32"_s, row;
    if (field.key == "method.target_modules") return row.values = one_value(value) == u"all-linear"_s ? u"all-linear | q_proj, v_proj"_s : one_value(value) + u" | all-linear"_s, row;
    if (field.key == "train.learning_rate") {
        const double now = value.get<double>();
        row.values = number(now / 10, field) + u".."_s + number(now * 10, field);
        row.log = true;
        return row;
    }
    if (field.key == "method.freeze") return row.values = u"embeddings"_s, row;
    if (field.key == "train.warmup") return row.values = u"0..0.1"_s, row;
    if (field.key == "train.weight_decay") return row.values = u"0, 0.01, 0.1"_s, row;
    if (field.key == "method.dropout" || field.key == "train.label_smoothing") return row.values = u"0, 0.05, 0.1"_s, row;
    QStringList all;
    const std::size_t problems_now = recipe::validate(recipe).size();
    for (const auto& choice : field.choices) {
        recipe::Recipe changed = recipe;
        if (field.set(changed, field.type == Field::Type::choice ? Json(choice) : parse_json(choice, field.key)) && recipe::validate(changed).size() <= problems_now)
            all << QString::fromStdString(choice);
    }
    if (!all.isEmpty()) row.values = all.join(u", "_s);
    else if (field.type == Field::Type::boolean) row.values = u"true, false"_s;
    else if (!value.is_number()) row.values = one_value(value);
    else if (value.get<double>() == 0) row.values = field.high >= 10 && field.type == Field::Type::integer ? u"0, 10"_s : number(0, field) + u", "_s + number(std::min(0.1, field.high), field);
    else row.values = numbers_around(value.get<double>(), field);
    return row;
}

std::vector<SearchRow> suggested_rows(const recipe::Recipe& recipe) {
    std::vector<SearchRow> rows;
    for (const char* key : {"train.learning_rate", "method.rank", "method.reduction_factor", "method.virtual_tokens"})
        if (const Field& field = *recipe::find_field(key); field.has_effect(recipe)) rows.push_back(suggested_row(field, recipe));
    return rows;
}

bool is_range(const QString& values) { return values.contains(u".."_s); }

std::vector<std::string> metrics_of(const recipe::Recipe& recipe) {
    std::vector<std::string> names;
    if (recipe.task == recipe::Task::classification) names = {"accuracy", "macro_f1", "validation_loss"};
    else if (recipe.task == recipe::Task::seq2seq) names = {"validation_loss", "chrf", "exact_match"};
    else names = {"validation_loss", "perplexity"};
    if (recipe.task == recipe::Task::classification && recipe.data.problem_type == recipe::ProblemType::regression)
        names = {"validation_loss", "pearson", "spearman", "mean_absolute_error"};
    if (recipe.task == recipe::Task::classification && recipe.data.problem_type == recipe::ProblemType::multi_label)
        names = {"micro_f1", "macro_f1", "exact_match", "validation_loss"};
    names.emplace_back("train_loss");
    return names;
}

std::string suggested_metric(const recipe::Recipe& recipe) {
    if (recipe.data.validation.empty() && recipe.data.validation_fraction == 0) return "train_loss";
    return metrics_of(recipe).front();
}

search::Search search_of(search::Search base, const std::vector<SearchRow>& rows, std::vector<recipe::Problem>& problems) {
    Json space = Json::object();
    for (const SearchRow& row : rows) {
        QString text = row.values.trimmed();
        if (text.isEmpty()) {
            problems.push_back({"space." + row.key, "values or a range", "nothing", ""});
            continue;
        }
        // People put blanks where the command line has none.
        QStringList parts;
        for (const QString& part : text.split(u',')) parts << part.trimmed();
        text = parts.join(u',');
        parts.clear();
        for (const QString& part : text.split(u'|')) parts << part.trimmed();
        text = parts.join(u'|');
        if (is_range(text)) text = text.remove(u' ') + (row.log ? u":log"_s : u":linear"_s);
        try {
            const auto [key, axis] = search::parse_vary(row.key + "=" + text.toStdString());
            space[key] = axis;
        } catch (const Error& error) {
            problems.push_back({"space." + row.key, "values or a range", text.toStdString(), error.hint()});
        }
    }
    Json json = parse_json(search::to_json(base).dump(), "search");
    json["space"] = space;
    return search::from_json(json, {}, problems);
}

double whole_runs(const search::Search& search) {
    const auto trials = double(search::make_trials(search).size());
    const std::size_t rungs = search::rung_count(search, std::size_t(trials));
    double left = trials, sum = 0, before = 0;
    for (std::size_t rung = 0; rung < rungs; ++rung) {
        const double part = std::pow(double(search.eta), double(rung) - double(rungs - 1));
        sum += left * (part - before);
        before = part;
        left = std::max(1.0, std::floor(left / double(search.eta)));
    }
    return sum;
}

}  // namespace qlora::ui
