#include "core/evaluate/run_data.h"

#include "core/base/error.h"
#include "core/data/from_recipe.h"
#include "core/hub/catalogue.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::evaluate {

namespace {

std::string held_out_of(const std::string& train) {
    for (const auto& set : hub::datasets())
        if (set.id == train && !set.held_out.empty()) return set.held_out.string();
    return {};
}

std::shared_ptr<const data::Table> open_table(const recipe::Data& options, const std::string& what, Control& control,
                                              const Progress& progress, std::vector<std::string>& notices) {
    data::TableOptions table_options;
    table_options.skip_bad_rows = options.skip_bad_rows;
    auto table = std::make_shared<data::Table>(data::Table::open(hub::resolve_data(what), table_options, &control, progress));
    for (const auto& notice : table->notices()) notices.push_back(table->label() + ": " + notice);
    return table;
}

// The renderer refers to the tokenizer; this keeps both alive together.
struct OwnedRenderer {
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
    data::Renderer renderer;
};

}  // namespace

std::vector<data::RowIndex> spread(const std::vector<data::RowIndex>& rows, std::int64_t count) {
    const auto all = static_cast<std::int64_t>(rows.size());
    if (count <= 0 || count >= all) return rows;
    std::vector<data::RowIndex> chosen;
    for (std::int64_t i = 0; i < count; ++i) chosen.push_back(rows[static_cast<std::size_t>(i * all / count)]);
    return chosen;
}

RunData open_data(const recipe::Recipe& recipe, std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                  const std::vector<std::string>& model_labels, Control& control, const Progress& progress) {
    RunData run;
    const recipe::Data& options = recipe.data;
    run.train.table = open_table(options, options.train, control, progress, run.notices);
    run.roles = data::guess_roles(*run.train.table, recipe).roles;
    if (recipe.task == recipe::Task::seq2seq && run.roles.layout == data::ColumnRoles::Layout::text)
        throw input_error("data.columns", run.train.table->label(), "expected a column to read and a column to answer, found only texts",
                          "Name them in data.columns.prompt and data.columns.completion.");
    data::require_roles(*run.train.table, run.roles);

    auto whole = [&](const std::string& file) {
        Part part{open_table(options, file, control, progress, run.notices), {}};
        data::require_roles(*part.table, run.roles);
        part.rows = data::all_rows(*part.table);
        return part;
    };
    std::string test = options.test.empty() ? held_out_of(options.train) : options.test;
    if (!options.validation.empty()) run.validation = whole(options.validation);
    if (!test.empty()) run.test = whole(test);
    data::SplitOptions fractions;
    fractions.validation = options.validation.empty() ? options.validation_fraction : 0;
    fractions.test = test.empty() ? options.test_fraction : 0;
    fractions.seed = recipe.train.seed;
    auto split = data::split(*run.train.table, run.roles, fractions, &control, progress);
    run.train.rows = std::move(split.train);
    if (options.validation.empty()) run.validation = {run.train.table, std::move(split.validation)};
    if (test.empty()) run.test = {run.train.table, std::move(split.test)};

    data::RenderOptions render = data::render_options(recipe, *run.train.table, run.roles, data::all_rows(*run.train.table), model_labels);
    run.labels = render.labels;
    std::shared_ptr<OwnedRenderer> owned(new OwnedRenderer{tokenizer, {*tokenizer, run.roles, render}});
    run.renderer = std::shared_ptr<const data::Renderer>(owned, &owned->renderer);
    return run;
}

}  // namespace qlora::evaluate
