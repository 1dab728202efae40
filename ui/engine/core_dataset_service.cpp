#include "ui/engine/core_dataset_service.h"

#include <algorithm>
#include <optional>

#include "core/data/from_recipe.h"
#include "core/evaluate/paraphrase.h"
#include "core/formats/gguf.h"
#include "core/hub/catalogue.h"
#include "core/tokenizer/tokenizer.h"

namespace qlora::ui {

namespace {

// Qt's views place rows in 32-bit pixels.
constexpr std::size_t most_rows = 50'000'000;
constexpr std::size_t most_waiting = 64;  // the model forgets older ones too
constexpr std::size_t cell_bytes = 4096;

std::shared_ptr<const tokenizer::Tokenizer> load_tokenizer(const std::string& model) {
    const auto path = hub::resolve_model(model);
    if (std::filesystem::is_directory(path)) return tokenizer::Tokenizer::load(path);
    return tokenizer::Tokenizer::from_gguf(formats::GgufFile(path));
}

QString cell_text(const data::Table& table, std::size_t row, std::size_t column) {
    const Json cell = table.cell(row, column);
    if (cell.is_null()) return {};
    if (cell.is_string()) return QString::fromStdString(cell.get_ref<const std::string&>().substr(0, cell_bytes));
    return QString::fromStdString(cell.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, cell_bytes));
}

}  // namespace

struct CoreDatasetService::Loaded {
    std::string source, held_out_source, model;
    bool skip_bad_rows = false;
    std::optional<data::Table> table, held_out;
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
    std::shared_ptr<const data::Renderer> renderer;  // keeps a reference to the tokenizer beside it
};

// The rows that a recipe learns from.
struct CoreDatasetService::Parted {
    recipe::Recipe recipe;
    evaluate::RunData data;
};

CoreDatasetService::CoreDatasetService(std::string device, int threads, QObject* parent)
    : DatasetService(parent), device_(std::move(device)), threads_(threads) {
    connect(&vary_task_, &Task::failed, this, [this](const Error& error) { emit vary_failed(varied_row_, error); });
    connect(&vary_task_, &Task::progressed, this, &DatasetService::vary_progressed);
    connect(&list_task_, &Task::failed, this, &DatasetService::failed);
    connect(&open_task_, &Task::progressed, this, &DatasetService::progressed);
    connect(&open_task_, &Task::failed, this, &DatasetService::failed);
    connect(&open_task_, &Task::finished, this, &DatasetService::finished);
    connect(&open_task_, &Task::cancelled, this, &DatasetService::cancelled);
    connect(&rows_task_, &Task::failed, this, &DatasetService::failed);
    connect(&rows_task_, &Task::finished, this, &CoreDatasetService::read_waiting);
}

CoreDatasetService::~CoreDatasetService() = default;

void CoreDatasetService::list() {
    list_task_.start([this](Worker& worker) {
        worker.post([this, datasets = hub::datasets()] { emit listed(datasets); });
    });
}

void CoreDatasetService::open(const recipe::Recipe& recipe) {
    open_task_.start([this, recipe, loaded = loaded_](Worker& worker) {
        Loaded next = loaded ? *loaded : Loaded{};
        next.renderer.reset();
        const auto publish = [&](auto&& tell) {
            worker.post([this, state = std::make_shared<const Loaded>(next), tell = std::move(tell)] {
                loaded_ = state;
                tell();
            });
        };
        const auto read = [&](const std::string& source) {
            return data::Table::open(hub::resolve_data(source), {.skip_bad_rows = recipe.data.skip_bad_rows},
                                     &worker.control(), worker.progress());
        };

        const bool same_rules = next.skip_bad_rows == recipe.data.skip_bad_rows;
        if (!next.table || next.source != recipe.data.train || !same_rules) {
            next.table = read(recipe.data.train);
            next.source = recipe.data.train;
            DatasetOpened opened{QString::fromStdString(next.source), QString::fromStdString(hub::data_name(next.source)),
                                 QString::fromStdString(next.table->label()),
                                 std::min(next.table->rows(), most_rows), next.table->columns(), next.table->notices()};
            publish([this, opened] {
                rows_task_.cancel();
                waiting_.clear();
                emit this->opened(opened);
            });
        }
        const std::string& held_out = recipe.data.test.empty() ? recipe.data.validation : recipe.data.test;
        if (held_out != next.held_out_source || !same_rules) {
            next.held_out.reset();
            if (!held_out.empty()) next.held_out = read(held_out);
            next.held_out_source = held_out;
        }
        next.skip_bad_rows = recipe.data.skip_bad_rows;

        const auto guess = data::guess_roles(*next.table, recipe);
        const DatasetRoles roles{guess.roles, QString::fromStdString(guess.reason),
                                 data::check_roles(*next.table, guess.roles)};
        publish([this, roles] { emit resolved(roles); });
        if (!roles.problems.empty() || recipe.model.empty()) return;

        if (!next.tokenizer || next.model != recipe.model) {
            worker.progress()("Loading the tokenizer", 0, 0);
            next.tokenizer = load_tokenizer(recipe.model);
            next.model = recipe.model;
        }
        const auto options = data::render_options(recipe, *next.table, guess.roles, data::all_rows(*next.table));
        next.renderer = std::make_shared<const data::Renderer>(*next.tokenizer, guess.roles, options);
        publish([this] { emit tokens_ready(); });
        const auto report = data::make_report(*next.table, next.held_out ? &*next.held_out : nullptr, *next.renderer,
                                              &worker.control(), worker.progress());
        worker.post([this, report] { emit reported(report); });
    });
}

void CoreDatasetService::cancel() { open_task_.cancel(); }

void CoreDatasetService::read_rows(int first, int count) {
    waiting_.push_back({first, count});
    if (waiting_.size() > most_waiting) waiting_.erase(waiting_.begin());
    if (!rows_task_.running()) read_waiting();
}

void CoreDatasetService::read_waiting() {
    if (waiting_.empty() || !loaded_ || !loaded_->table) return;
    // The newest range is what is on screen now.
    const Range range = waiting_.back();
    waiting_.pop_back();
    rows_task_.start([this, table = *loaded_->table, range](Worker& worker) {
        DatasetBlock block{range.first, {}};
        for (int row = range.first; row < range.first + range.count; ++row) {
            worker.control().check();
            QStringList cells;
            for (std::size_t column = 0; column < table.columns().size(); ++column)
                cells << cell_text(table, std::size_t(row), column);
            block.cells.push_back(std::move(cells));
        }
        worker.post([this, block = std::move(block)] { emit rows_read(block); });
    });
}

void CoreDatasetService::describe(int row) {
    if (!loaded_ || !loaded_->renderer) return;
    tokens_task_.start([this, row, loaded = loaded_](Worker& worker) {
        try {
            const auto tokens = loaded->renderer->describe(*loaded->table, std::size_t(row));
            worker.post([this, row, tokens] { emit described(row, tokens); });
        } catch (const Error& error) {
            worker.post([this, row, error] { emit describe_failed(row, error); });
        }
    });
}

void CoreDatasetService::vary(const recipe::Recipe& recipe, int row, bool write) {
    varied_row_ = row;
    vary_task_.start([this, recipe, row, write, parted = parted_, loaded = loaded_](Worker& worker) mutable {
        const auto shown = data::RowIndex(row);
        if (!parted || parted->recipe.data.train != recipe.data.train || !recipe::differences(parted->recipe, recipe).empty()) {
            auto next = std::make_shared<Parted>();
            next->recipe = recipe;
            const auto tokenizer = loaded && loaded->tokenizer && loaded->model == recipe.model ? loaded->tokenizer : load_tokenizer(recipe.model);
            next->data = evaluate::open_data(recipe, tokenizer, {}, worker.control(), {});
            parted = next;
            worker.post([this, next] { parted_ = next; });
        }
        const auto& data = parted->data;
        evaluate::RowVariants one;
        one.row = shown;
        one.learned = std::ranges::find(data.train.rows, shown) != data.train.rows.end();
        if (one.learned) {
            const auto rows = std::span(&shown, 1);
            std::shared_ptr<const data::Paraphrases> paraphrases;
            if (recipe.data.augment.paraphrases > 0)
                paraphrases = write ? evaluate::paraphrase(recipe, data, rows, device_, threads_, worker.control(), worker.progress())
                                    : evaluate::known_paraphrases(recipe, data, rows, device_);
            auto result = evaluate::row_variants(recipe, data, rows, paraphrases, worker.control());
            if (!result.empty()) one = std::move(result.front());
        }
        worker.post([this, one = std::move(one)] { emit varied(one); });
    });
}

void CoreDatasetService::cancel_varying() { vary_task_.cancel(); }

}  // namespace qlora::ui
