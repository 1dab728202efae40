#include "ui/engine/core_data_summary.h"

#include <algorithm>

#include "core/data/from_recipe.h"
#include "core/data/split.h"
#include "core/data/tokenized.h"
#include "core/formats/gguf.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::ui {

namespace {

constexpr std::size_t most_tokenized = 20'000;  // rows; a second or two on two cores

std::shared_ptr<const tokenizer::Tokenizer> tokenizer_of(const std::string& model) {
    const auto path = hub::resolve_model(model);
    return std::filesystem::is_directory(path) ? tokenizer::Tokenizer::load(path)
                                               : tokenizer::Tokenizer::from_gguf(formats::GgufFile(path));
}

data::ColumnRoles roles_of(const data::Table& table, const recipe::Recipe& recipe) {
    auto roles = data::guess_roles(table, recipe).roles;
    data::require_roles(table, roles);
    return roles;
}

QStringList column_names(const data::ColumnRoles& roles) {
    QStringList names;
    for (const auto* name : {&roles.text, &roles.prompt, &roles.input, &roles.completion, &roles.messages, &roles.label})
        if (!name->empty()) names << QString::fromStdString(*name);
    return names;
}

void add_tokens(DataSummary& summary, const recipe::Recipe& recipe, const data::Table& table,
                const data::ColumnRoles& roles, std::vector<data::RowIndex> rows, const Control& control,
                const Progress& progress) {
    const auto tokenizer = tokenizer_of(recipe.model);
    const data::Renderer renderer(*tokenizer, roles, data::render_options(recipe, table, roles, rows));
    summary.prompt = QString::fromStdString(renderer.prompt_text(table, rows.front()));
    summary.answer = QString::fromStdString(renderer.answer_text(table, rows.front()));
    const std::size_t all = rows.size();
    summary.exact = all <= most_tokenized;
    if (!summary.exact) rows.resize(most_tokenized);
    const auto tokenized = data::prepare(table, rows, renderer, &control, progress);
    if (tokenized.size() == 0) return;
    const double scale = double(all) / double(rows.size());
    summary.dropped_rows = std::int64_t(double(tokenized.dropped_rows()) * scale);
    summary.facts.train_rows = std::int64_t(all) - summary.dropped_rows;
    summary.facts.mean_tokens = double(tokenized.tokens()) / double(tokenized.size());
    summary.facts.mean_trained_tokens = double(tokenized.trained_tokens()) / double(tokenized.size());
    summary.facts.longest_tokens = std::int64_t(tokenized.longest());
    summary.facts.truncated_rows = std::int64_t(double(tokenized.truncated()) * scale);
    if (tokenized.truncated() > 0)
        summary.notices << QObject::tr("%1 rows are cut at %2 tokens.")
                               .arg(summary.facts.truncated_rows)
                               .arg(recipe.data.max_length);
    for (const auto& dropped : tokenized.dropped())
        summary.notices << QObject::tr("%1 rows are left out: %2.")
                               .arg(dropped.rows)
                               .arg(QString::fromStdString(dropped.reason));
    if (!summary.exact)
        summary.notices << QObject::tr("Token counts are of the first %1 rows.").arg(most_tokenized);
}

}  // namespace

DataSummary summarize(const recipe::Recipe& recipe, const Control& control, const Progress& progress) {
    const auto open = [&](const std::string& source) {
        return data::Table::open(hub::resolve_data(source), {.skip_bad_rows = recipe.data.skip_bad_rows},
                                 &control, progress);
    };
    const data::Table table = open(recipe.data.train);
    const data::ColumnRoles roles = roles_of(table, recipe);
    DataSummary summary;
    summary.source = QString::fromStdString(recipe.data.train);
    summary.name = QString::fromStdString(hub::data_name(recipe.data.train));
    summary.rows = std::int64_t(table.rows());
    summary.columns = column_names(roles);
    for (const auto& notice : table.notices()) summary.notices << QString::fromStdString(notice);
    data::SplitOptions options;
    options.validation = recipe.data.validation.empty() ? recipe.data.validation_fraction : 0;
    options.test = recipe.data.test.empty() ? recipe.data.test_fraction : 0;
    options.seed = recipe.train.seed;
    const auto parts = data::split(table, roles, options, &control, progress);
    summary.facts.train_rows = std::int64_t(parts.train.size());
    summary.facts.validation_rows = std::int64_t(
        recipe.data.validation.empty() ? parts.validation.size() : open(recipe.data.validation).rows());
    summary.test_rows =
        std::int64_t(recipe.data.test.empty() ? parts.test.size() : open(recipe.data.test).rows());
    if (!recipe.model.empty() && !parts.train.empty())
        add_tokens(summary, recipe, table, roles, parts.train, control, progress);
    return summary;
}

}  // namespace qlora::ui
