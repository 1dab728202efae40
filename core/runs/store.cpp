#include "core/runs/store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/runs/database.h"
#include "core/runs/process.h"
#include "core/runs/run_folder.h"

namespace qlora::runs {

namespace fs = std::filesystem;

namespace {

constexpr const char* columns =
    "id, name, folder, status, model, data, precision, method, created, updated, steps_done, steps, "
    "train_loss, "
    "validation_loss, best_loss, best_step, peak_bytes, folder_bytes, seconds, error, process ";

std::string select(const char* condition) {
    return "SELECT " + std::string(columns) + "FROM runs " + condition;
}

Run read(const Statement& row) {
    Run run;
    run.id = row.integer(0);
    run.name = row.text(1);
    run.folder = row.text(2);
    run.status = row.text(3);
    run.model = row.text(4), run.data = row.text(5), run.precision = row.text(6), run.method = row.text(7);
    run.created = row.integer(8), run.updated = row.integer(9);
    run.steps_done = row.integer(10), run.steps = row.integer(11);
    run.train_loss = row.optional_real(12), run.validation_loss = row.optional_real(13);
    run.best_loss = row.optional_real(14), run.best_step = row.integer(15);
    run.peak_bytes = row.integer(16), run.folder_bytes = row.integer(17);
    run.seconds = row.real(18);
    run.error = row.text(19);
    run.process = static_cast<int>(row.integer(20));
    bool ended = run.status == "completed" || run.status == "early_stopping";
    run.resumable = run.status != "running" && !ended && has_checkpoint(run.folder);
    return run;
}

std::int64_t now() {
    using namespace std::chrono;
    return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

Store::Store(const fs::path& home) : home_(home) {
    create_folders(home / "runs");
    database_ = std::make_unique<Database>(home / "runs.sqlite");
    if (database_->begun_anew()) recover();
}

Store::~Store() = default;

fs::path Store::new_folder(const std::string& name) const {
    return make_numbered_folder(home_ / "runs", name, "run", "file.folder");
}

std::int64_t Store::begin(const recipe::Recipe& recipe, const fs::path& folder) {
    std::string place = canonical_folder(folder);
    std::string method = method_title(recipe.method), precision(name(recipe.precision));
    std::int64_t id = 0;
    database_->transaction([&] {
        auto known =
            database_->prepare("SELECT id, status, process, process_stamp FROM runs WHERE folder = ?");
        if (known.bind(place).step()) {
            id = known.integer(0);
            if (known.text(1) == "running" && is_alive(static_cast<int>(known.integer(2)), known.text(3)))
                throw input_error(
                    "runs.running", place,
                    "process " + std::to_string(known.integer(2)) + " is running in this folder",
                    "Wait until it ends, or choose another folder.");
        }
        int process = ::getpid();
        std::string stamp = process_stamp(process);
        if (id == 0) {
            database_
                ->prepare(
                    "INSERT INTO runs (name, folder, status, model, data, precision, method, created, "
                    "updated, "
                    "process, process_stamp) VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(recipe::title(recipe), place, recipe.model, recipe.data.train, precision, method, now(),
                      now(), process, stamp)
                .run();
            id = database_->last_id();
        } else {
            database_
                ->prepare(
                    "UPDATE runs SET status = 'running', error = '', model = ?, data = ?, precision = ?, "
                    "method = ?, updated = ?, process = ?, process_stamp = ? WHERE id = ?")
                .bind(recipe.model, recipe.data.train, precision, method, now(), process, stamp, id)
                .run();
        }
    });
    return id;
}

void Store::progress(std::int64_t id, const Figures& figures) {
    database_
        ->prepare(
            "UPDATE runs SET updated = ?, steps_done = ?, steps = ?, train_loss = coalesce(?, train_loss), "
            "validation_loss = coalesce(?, validation_loss), best_loss = coalesce(?, best_loss), "
            "best_step = coalesce(nullif(?, 0), best_step), peak_bytes = max(?, peak_bytes), seconds = ? "
            "WHERE id = ?")
        .bind(now(), figures.steps_done, figures.steps, figures.train_loss, figures.validation_loss,
              figures.best_loss, figures.best_step, figures.peak_bytes, figures.seconds, id)
        .run();
}

void Store::finish(std::int64_t id, const std::string& status, const std::string& error) {
    Run run = require(id);
    database_
        ->prepare(
            "UPDATE runs SET status = ?, error = ?, updated = ?, folder_bytes = ?, process = 0, "
            "process_stamp = '' WHERE id = ?")
        .bind(status, error, now(), bytes_of(run.folder), id)
        .run();
}

void Store::rename(std::int64_t id, const std::string& name) {
    require(id);
    database_->prepare("UPDATE runs SET name = ? WHERE id = ?").bind(name, id).run();
}

std::vector<Run> Store::list() const {
    std::vector<Run> runs;
    auto rows = database_->prepare(select("ORDER BY created DESC, id DESC").c_str());
    while (rows.step()) runs.push_back(read(rows));
    return runs;
}

std::optional<Run> Store::find(const std::string& id_or_folder) const {
    bool number = !id_or_folder.empty() && id_or_folder.size() < 19 &&
                  id_or_folder.find_first_not_of("0123456789") == std::string::npos;
    if (number) {
        auto row = database_->prepare(select("WHERE id = ?").c_str());
        if (row.bind(std::int64_t{std::stoll(id_or_folder)}).step()) return read(row);
    }
    auto row =
        database_->prepare(select("WHERE folder = ? OR name = ? ORDER BY folder = ? DESC, id DESC").c_str());
    std::string folder = canonical_folder(id_or_folder);
    if (row.bind(folder, id_or_folder, folder).step()) return read(row);
    return std::nullopt;
}

Run Store::require(std::int64_t id) const {
    auto row = database_->prepare(select("WHERE id = ?").c_str());
    if (!row.bind(id).step())
        throw input_error("runs.not_found", "run " + std::to_string(id), "there is no such run in the index",
                          "List the runs to see their numbers.");
    return read(row);
}

void Store::remove(std::int64_t id) {
    recover();
    Run run;
    database_->transaction([&] {
        run = require(id);
        if (run.status == "running")
            throw input_error("runs.running", "run " + std::to_string(id),
                              "process " + std::to_string(run.process) + " is still running it",
                              "Stop it first.");
        // Nobody may resume what is being removed; a folder that cannot be removed whole stays in the index.
        remove_run_folder(run.folder);
        database_->prepare("DELETE FROM runs WHERE id = ?").bind(id).run();
    });
}

std::vector<Run> Store::recover() {
    std::vector<Run> interrupted;
    database_->transaction([&] {
        std::set<std::string> known;
        std::vector<std::int64_t> gone;
        auto rows = database_->prepare("SELECT id, folder, status, process, process_stamp FROM runs");
        while (rows.step()) {
            known.insert(rows.text(1));
            if (rows.text(2) == "running" && !is_alive(static_cast<int>(rows.integer(3)), rows.text(4)))
                gone.push_back(rows.integer(0));
        }
        for (std::int64_t id : gone) {
            database_
                ->prepare(
                    "UPDATE runs SET status = 'interrupted', process = 0, process_stamp = '' WHERE id = ?")
                .bind(id)
                .run();
            interrupted.push_back(require(id));
        }
        std::error_code error;
        fs::path folders = canonical_folder(home_ / "runs");
        for (fs::directory_iterator entry(folders, error), end; !error && entry != end;
             entry.increment(error)) {
            fs::path folder = canonical_folder(entry->path());
            if (folder.filename().string().starts_with('.') || known.contains(folder.string())) continue;
            std::optional<Run> run = read_run_folder(folder);
            if (!run) continue;
            database_
                ->prepare(
                    "INSERT INTO runs (name, folder, status, model, data, precision, method, created, "
                    "updated, "
                    "steps_done, steps, train_loss, validation_loss, best_loss, best_step, peak_bytes, "
                    "folder_bytes, seconds, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                    "?, "
                    "?, ?)")
                .bind(run->name, folder.string(), run->status, run->model, run->data, run->precision,
                      run->method, run->created, run->updated, run->steps_done, run->steps, run->train_loss,
                      run->validation_loss, run->best_loss, run->best_step, run->peak_bytes,
                      run->folder_bytes, run->seconds, run->error)
                .run();
            if (run->status == "interrupted") interrupted.push_back(require(database_->last_id()));
        }
    });
    return interrupted;
}

}  // namespace qlora::runs
