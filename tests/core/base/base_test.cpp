#include <sys/stat.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QtTest>
#include <fstream>
#include <set>

#include "core/base/checked.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/random.h"

using namespace qlora;
namespace fs = std::filesystem;

// The code of the Error that `f` throws; empty when it throws none.
template <typename F>
static std::string code_of(F f) {
    try {
        f();
    } catch (const Error& error) {
        return error.code();
    }
    return {};
}

class BaseTest : public QObject {
    Q_OBJECT
    QTemporaryDir folder_;
    fs::path path(const char* name) const { return fs::path(folder_.path().toStdString()) / name; }

  private slots:
    void cleanup() { set_io_fault(nullptr); }

    void sizes_never_wrap() {
        QVERIFY(!checked_add(UINT64_MAX, 1));
        QVERIFY(!checked_multiply(1ull << 33, 1ull << 31));
        std::int64_t hidden_overflow[] = {INT64_MAX, 3, 0}, negative[] = {4, -1}, fine[] = {3, 0, 5};
        QVERIFY(!checked_elements(hidden_overflow));
        QVERIFY(!checked_elements(negative));
        QCOMPARE(*checked_elements(fine), 0u);
        QVERIFY(!checked_align(UINT64_MAX - 2, 32));
        QCOMPARE(*checked_align(33, 32), 64u);
    }

    void json_is_strict_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QString>("code");
        QTest::newRow("fine") << QByteArray("{\"a\": [1, 2.5, null]}") << "";
        QTest::newRow("byte order mark") << QByteArray("\xEF\xBB\xBF{}") << "";
        QTest::newRow("same key in two objects") << QByteArray("{\"a\": {\"x\": 1}, \"x\": 2}") << "";
        QTest::newRow("empty") << QByteArray("") << "json.syntax";
        QTest::newRow("truncated") << QByteArray("{\"a\": [1,") << "json.syntax";
        QTest::newRow("trailing garbage") << QByteArray("{} x") << "json.syntax";
        QTest::newRow("text behind a NUL") << QByteArray("{}\0x", 4) << "json.syntax";
        QTest::newRow("huge number") << QByteArray("{\"a\": 1e400}") << "json.syntax";
        QTest::newRow("bad UTF-8") << QByteArray("{\"a\": \"\xFF\"}") << "json.utf8";
        QTest::newRow("duplicate key") << QByteArray("{\"a\": 1, \"a\": 2}") << "json.duplicate_key";
        QTest::newRow("100,000 levels") << QByteArray(100000, '[') << "json.depth";
    }
    void json_is_strict() {
        QFETCH(QByteArray, text);
        QFETCH(QString, code);
        QCOMPARE(QString::fromStdString(code_of([&] { parse_json(text.toStdString(), "f.json"); })), code);
    }

    void a_json_error_names_the_file_and_the_line() {
        try {
            parse_json("{\n  \"a\": 1,\n  oops\n}", "config.json");
            QFAIL("accepted");
        } catch (const Error& error) {
            QVERIFY2(error.message().find("config.json") != std::string::npos, error.what());
            QVERIFY2(error.message().find("line 3") != std::string::npos, error.what());
        }
    }

    void a_key_that_comes_again_and_depth_are_named_by_line() {
        auto message = [](const std::string& text) {
            try {
                parse_json(text, "f.json");
            } catch (const Error& error) {
                return error.message();
            }
            return std::string("accepted");
        };
        QVERIFY2(message("{\"a\": 1,\n \"b\": {\"c\": 1},\n \"a\": 2}").find("line 3, column 4") != std::string::npos,
                 message("{\"a\": 1,\n \"b\": {\"c\": 1},\n \"a\": 2}").c_str());
        QVERIFY2(message("[\n" + std::string(200, '[')).find("line 2, column 128") != std::string::npos, message("[\n" + std::string(200, '[')).c_str());
    }

    void a_json_error_repeats_nothing_that_is_no_text() {
        try {
            parse_json("[\"" + std::string(5000, 'a') + "\xFF\"]", "f.json");
            QFAIL("accepted");
        } catch (const Error& error) {
            QVERIFY2(error.message().size() < 200, error.what());
            QVERIFY(error.message().find('\xFF') == std::string::npos);
        }
    }

    void json_fields_are_typed() {
        Json json = parse_json(R"({"heads": 12.5, "name": 3, "big": 5000000000, "eps": "small"})", "c.json");
        JsonObject object(json, "c.json");
        QCOMPARE(code_of([&] { object.integer("heads", 1, 100); }), "json.field");
        QCOMPARE(code_of([&] { object.integer("missing", 1, 100); }), "json.field");
        QCOMPARE(code_of([&] { object.integer("big", 1, 1 << 30); }), "json.field");
        QCOMPARE(code_of([&] { object.string("name"); }), "json.field");
        QCOMPARE(code_of([&] { object.number("eps", 0, 1); }), "json.field");
        QCOMPARE(object.integer("missing", 1, 100, 7), 7);
        QCOMPARE(object.integer("big", 1, INT64_MAX), 5000000000);
    }

    void a_random_stream_continues_from_its_state() {
        // Known answer of Philox 4x32-10 for a zero counter and key (Random123's kat_vectors).
        auto zero = philox({0, 0, 0, 0}, {0, 0});
        QCOMPARE(zero[0], 0x6627e8d5u);
        QCOMPARE(zero[3], 0x9b00dbd8u);
        RandomStream a(1, "shuffle"), other_purpose(1, "dropout");
        QVERIFY(a.next() != other_purpose.next());
        for (int i = 0; i < 6; ++i) a.next();
        RandomStream b(a.state());
        for (int i = 0; i < 100; ++i) QCOMPARE(a.next(), b.next());
        auto order = a.permutation(1000);
        QCOMPARE(std::set(order.begin(), order.end()).size(), 1000u);
        double sum = 0, squares = 0;
        for (int i = 0; i < 20000; ++i) {
            double x = a.normal();
            sum += x;
            squares += x * x;
        }
        QVERIFY(std::abs(sum / 20000) < 0.03);
        QVERIFY(std::abs(squares / 20000 - 1) < 0.05);
    }

    void a_write_that_fails_leaves_the_old_file() {
        auto file = path("a.txt");
        write_atomically(file, "old");
        for (const char* broken : {"open", "write", "fsync", "rename"}) {
            set_io_fault([&](std::string_view operation, const fs::path&) { return operation == broken ? ENOSPC : 0; });
            QCOMPARE(code_of([&] { write_atomically(file, "new"); }), "file.io");
            set_io_fault(nullptr);
            QCOMPARE(read_file(file), "old");
            QCOMPARE(QDir(folder_.path()).entryList({".*tmp*"}, QDir::Files | QDir::Hidden).size(), 0);
        }
        write_atomically(file, "new");
        QCOMPARE(read_file(file), "new");
    }

    void a_folder_is_whole_or_the_old_one() {
        auto target = path("checkpoint");
        auto fill = [](const char* text) {
            return [text](const fs::path& f) { write_atomically(f / "x", text); };
        };
        write_folder_atomically(target, fill("one"));
        int operations = 0;
        set_io_fault([&](std::string_view, const fs::path&) { return ++operations, 0; });
        write_folder_atomically(target, fill("one"));
        int all = operations;
        QVERIFY(all > 5);
        for (int k = 1; k <= all; ++k) {
            operations = 0;
            set_io_fault([&](std::string_view, const fs::path&) { return ++operations == k ? EIO : 0; });
            std::string code = code_of([&] { write_folder_atomically(target, fill("two")); });
            set_io_fault(nullptr);
            auto text = read_file(target / "x");
            QVERIFY2(text == "one" || text == "two", text.c_str());
            QVERIFY(!code.empty());
            write_folder_atomically(target, fill("one"));
        }
    }

    void odd_paths_are_refused() {
        QCOMPARE(code_of([&] { MappedFile f(path("missing")); }), "file.not_found");
        QCOMPARE(code_of([&] { MappedFile f("/dev/zero"); }), "file.not_regular");
        QCOMPARE(code_of([&] { read_file(folder_.path().toStdString()); }), "file.not_regular");
        QCOMPARE(::mkfifo(path("pipe").c_str(), 0600), 0);
        QCOMPARE(code_of([&] { MappedFile f(path("pipe")); }), "file.not_regular");
        QCOMPARE(code_of([&] { read_file(path("pipe")); }), "file.not_regular");
    }

    void a_file_cut_short_while_mapped_is_an_error_not_a_crash() {
        auto file = path("weights");
        write_atomically(file, std::string(1 << 20, 'w'));
        MappedFile mapped(file);
        QCOMPARE(char(mapped.bytes()[0]), 'w');
        QCOMPARE(::truncate(file.c_str(), 4096), 0);
        QCOMPARE(char(mapped.bytes()[900000]), '\0');
        QCOMPARE(code_of([&] { mapped.check(); }), "file.truncated");
    }

    void pages_of_a_mapped_file_can_be_forgotten_and_read_again() {
        const std::size_t size = std::size_t{64} << 20;
        auto file = path("large");
        write_atomically(file, [&](FileWriter& writer) {
            for (std::size_t i = 0; i < size; i += std::size_t{1} << 20) writer.write(std::string(std::size_t{1} << 20, char('a' + (i >> 20) % 26)));
        });
        MappedFile mapped(file);
        auto resident = [] {
            std::ifstream in("/proc/self/statm");
            long all, pages;
            in >> all >> pages;
            return pages * ::sysconf(_SC_PAGESIZE);
        };
        auto sum = [&] {
            std::size_t total = 0;
            for (std::byte b : mapped.bytes()) total += static_cast<std::size_t>(b);
            return total;
        };
        const long before = resident();
        const std::size_t once = sum();
        const long read = resident();
        QVERIFY(read - before > 48L << 20);
        MappedFile::forget(mapped.bytes());
        QVERIFY(read - resident() > 48L << 20);
        QCOMPARE(sum(), once);
        mapped.check();
        // Memory that is no mapping of a file keeps what it holds.
        const std::string other(1 << 20, 'x');
        MappedFile::forget(std::as_bytes(std::span(other)));
        QCOMPARE(other, std::string(1 << 20, 'x'));
    }
};

QTEST_GUILESS_MAIN(BaseTest)
#include "base_test.moc"
