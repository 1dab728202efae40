#include "core/runs/database.h"

#include <sqlite3.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "core/base/error.h"

namespace qlora::runs {

namespace fs = std::filesystem;

namespace {

constexpr int schema_version = 1;
constexpr const char* schema = R"sql(
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        folder TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL,
        model TEXT NOT NULL, data TEXT NOT NULL, precision TEXT NOT NULL, method TEXT NOT NULL,
        created INTEGER NOT NULL, updated INTEGER NOT NULL,
        steps_done INTEGER NOT NULL DEFAULT 0, steps INTEGER NOT NULL DEFAULT 0,
        train_loss REAL, validation_loss REAL, best_loss REAL,
        best_step INTEGER NOT NULL DEFAULT 0,
        peak_bytes INTEGER NOT NULL DEFAULT 0, folder_bytes INTEGER NOT NULL DEFAULT 0,
        seconds REAL NOT NULL DEFAULT 0,
        error TEXT NOT NULL DEFAULT '',
        process INTEGER NOT NULL DEFAULT 0, process_stamp TEXT NOT NULL DEFAULT ''
    );
)sql";

[[noreturn]] void fail(sqlite3* connection, const fs::path& file, int code) {
    if ((code & 0xff) == SQLITE_NOTADB || (code & 0xff) == SQLITE_CORRUPT)
        throw failure("runs.damaged", file.string(), "the index of runs is damaged",
                      "Start the program again: it makes a new index from the run folders.");
    std::string reason = connection != nullptr ? sqlite3_errmsg(connection) : sqlite3_errstr(code);
    bool full = (code & 0xff) == SQLITE_FULL || (code & 0xff) == SQLITE_IOERR;
    throw failure("runs.index", file.string(), "the index of runs cannot be used: " + reason,
                  full ? "Free some space and try again."
                       : "Check that you may write to its folder, or set QLORA_HOME to another one.");
}

void execute(sqlite3* connection, const fs::path& file, const char* sql) {
    int code = sqlite3_exec(connection, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) fail(connection, file, code);
}

}  // namespace

Statement::Statement(sqlite3* connection, const fs::path& file, const char* sql)
    : connection_(connection), file_(file) {
    sqlite3_stmt* statement = nullptr;
    int code = sqlite3_prepare_v2(connection, sql, -1, &statement, nullptr);
    statement_.reset(statement);
    if (code != SQLITE_OK) fail(connection_, file_, code);
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
    sqlite3_finalize(statement);
}

bool Statement::step() {
    int code = sqlite3_step(statement_.get());
    if (code != SQLITE_ROW && code != SQLITE_DONE) fail(connection_, file_, code);
    return code == SQLITE_ROW;
}

void Statement::bind_at(int position, std::int64_t value) {
    sqlite3_bind_int64(statement_.get(), position, value);
}

void Statement::bind_at(int position, double value) {
    sqlite3_bind_double(statement_.get(), position, value);
}

void Statement::bind_at(int position, const std::optional<double>& value) {
    // A loss that is no number is no loss: SQLite would store NaN as NULL too, and infinity as a best one.
    if (value && std::isfinite(*value))
        bind_at(position, *value);
    else
        sqlite3_bind_null(statement_.get(), position);
}

void Statement::bind_at(int position, const std::string& value) {
    sqlite3_bind_text64(statement_.get(), position, value.data(), value.size(), SQLITE_TRANSIENT,
                        SQLITE_UTF8);
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
}
double Statement::real(int column) const {
    return sqlite3_column_double(statement_.get(), column);
}

std::optional<double> Statement::optional_real(int column) const {
    if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) return std::nullopt;
    return real(column);
}

std::string Statement::text(int column) const {
    const unsigned char* text = sqlite3_column_text(statement_.get(), column);
    auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
    return text == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(text), size);
}

void Database::Close::operator()(sqlite3* connection) const {
    sqlite3_close_v2(connection);
}

Database::Database(const fs::path& file) : file_(file) {
    try {
        open();
    } catch (const Error& error) {
        if (error.code() != "runs.damaged") throw;
        put_aside();
        open();
    }
}

void Database::put_aside() {
    connection_.reset();
    std::error_code error;
    for (int number = 1; !begun_anew_; ++number) {
        fs::path aside = file_.string() + ".damaged-" + std::to_string(number);
        if (fs::exists(aside, error)) continue;
        fs::rename(file_, aside, error);
        if (error)
            throw failure("runs.index", file_.string(),
                          "the damaged index of runs cannot be put aside: " + error.message(),
                          "Move the file away and start again.");
        begun_anew_ = true;
    }
    for (const char* beside : {"-wal", "-shm"}) fs::remove(file_.string() + beside, error);
}

void Database::open() {
    sqlite3* connection = nullptr;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
    int code = sqlite3_open_v2(file_.c_str(), &connection, flags, nullptr);
    connection_.reset(connection);
    if (code != SQLITE_OK) fail(connection, file_, code);
    sqlite3_extended_result_codes(connection, 1);
    sqlite3_busy_timeout(connection, 10000);
    use_write_ahead_log();
    transaction([&] {
        Statement version = prepare("PRAGMA user_version");
        std::int64_t found = version.step() ? version.integer(0) : 0;
        if (found > schema_version)
            throw failure("runs.index", file_.string(),
                          "the index of runs is of a newer program: expected version " +
                              std::to_string(schema_version) + ", got " + std::to_string(found),
                          "Start the newer program, or set QLORA_HOME to another folder.");
        if (found == schema_version) return;
        execute(connection, file_, schema);
        execute(connection, file_, "PRAGMA user_version = 1");
    });
    prepare("SELECT count(*) FROM runs WHERE process_stamp = ''")
        .run();  // reads every page: finds damage now
}

// Two programs that both turn a new file to WAL may be told at once that it is busy, without the time-out. A
// file system without shared memory keeps its rollback journal: slower, and as safe.
void Database::use_write_ahead_log() {
    constexpr const char* pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;";
    for (int attempt = 0; attempt < 250; ++attempt) {
        if ((sqlite3_exec(connection_.get(), pragmas, nullptr, nullptr, nullptr) & 0xff) != SQLITE_BUSY)
            break;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    execute(connection_.get(), file_, pragmas);
}

void Database::transaction(const std::function<void()>& work) const {
    execute(connection_.get(), file_, "BEGIN IMMEDIATE");
    try {
        work();
        execute(connection_.get(), file_, "COMMIT");
    } catch (...) {
        sqlite3_exec(connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
        throw;
    }
}

std::int64_t Database::last_id() const {
    return sqlite3_last_insert_rowid(connection_.get());
}

}  // namespace qlora::runs
