#pragma once
// SQLite, as far as the run index needs it: one connection, statements with bound values, transactions.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

namespace qlora::runs {

// One prepared statement. Values are bound by position from 1, columns read by position from 0.
class Statement {
  public:
    Statement(sqlite3* connection, const std::filesystem::path& file, const char* sql);

    template <typename... Values>
    Statement& bind(const Values&... values) {
        int position = 0;
        (bind_at(++position, values), ...);
        return *this;
    }
    bool step();  // true: there is a row
    void run() {
        while (step()) continue;
    }

    std::int64_t integer(int column) const;
    double real(int column) const;
    std::optional<double> optional_real(int column) const;
    std::string text(int column) const;

  private:
    void bind_at(int position, std::int64_t value);
    void bind_at(int position, int value) { bind_at(position, static_cast<std::int64_t>(value)); }
    void bind_at(int position, double value);
    void bind_at(int position, const std::optional<double>& value);
    void bind_at(int position, const std::string& value);

    struct Finalize {
        void operator()(sqlite3_stmt* statement) const;
    };
    sqlite3* connection_;
    const std::filesystem::path& file_;
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Calls from several threads wait for each other. Failures throw failure "runs.index" or "runs.damaged"
// naming the file.
class Database {
  public:
    // Opens or creates the file in WAL mode and brings its tables to the newest version. A file that is
    // damaged or none of SQLite's is renamed to "<file>.damaged-N" and begun anew.
    explicit Database(const std::filesystem::path& file);

    Statement prepare(const char* sql) const { return {connection_.get(), file_, sql}; }
    // Nobody else writes meanwhile; an exception undoes all.
    void transaction(const std::function<void()>& work) const;
    std::int64_t last_id() const;
    bool begun_anew() const { return begun_anew_; }

  private:
    void open();
    void use_write_ahead_log();
    void put_aside();

    struct Close {
        void operator()(sqlite3* connection) const;
    };
    std::filesystem::path file_;
    std::unique_ptr<sqlite3, Close> connection_;
    bool begun_anew_ = false;
};

}  // namespace qlora::runs
