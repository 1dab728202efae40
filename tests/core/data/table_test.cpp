#include <sys/stat.h>

#include <QtTest>
#include <atomic>
#include <thread>

#include "tests/core/data/fixtures.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;
using namespace std::string_literals;

class TableTest : public QObject {
    Q_OBJECT
    Folder folder_;

    std::string read(const std::string& name, std::string_view content, TableOptions options = {}) {
        return dump(Table::open(folder_.write(name, content), options));
    }

  private slots:
    void reads_json_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QByteArray>("content");
        const QByteArray a = R"({"q": "one", "n": 1})", b = R"({"q": "two", "n": 2})";
        QTest::newRow("lines") << "d.jsonl" << a + "\n" + b + "\n";
        QTest::newRow("no newline at the end") << "d.jsonl" << a + "\n" + b;
        QTest::newRow("CRLF") << "d.jsonl" << a + "\r\n" + b + "\r\n";
        QTest::newRow("byte order mark") << "d.jsonl"
                                         << "\xEF\xBB\xBF" + a + "\n" + b;
        QTest::newRow("blank lines") << "d.ndjson"
                                     << "\n" + a + "\n  \n\n" + b + "\n\n";
        QTest::newRow("lines named .json") << "d.json" << a + "\n" + b;
        QTest::newRow("an array") << "d.json"
                                  << "[" + a + ", " + b + "]";
        QTest::newRow("an array over lines, with a mark") << "d.json"
                                                          << "\xEF\xBB\xBF\n[\n" + a + ",\n" + b + "\n]\n";
        QTest::newRow("an array named .jsonl") << "d.jsonl"
                                               << "[" + a + "," + b + "]";
        QTest::newRow("an unknown ending") << "d.data" << a + "\n" + b;
        QTest::newRow("objects over lines")
            << "d.json" << QByteArray("{\n\"q\": \"one\",\n\"n\": 1\n}\n{\"q\":\n\"two\", \"n\": 2}");
    }
    void reads_json() {
        QFETCH(QString, name);
        QFETCH(QByteArray, content);
        Table table = Table::open(folder_.write(name.toStdString(), content.toStdString()));
        QCOMPARE(dump(table), R"([{"n":1,"q":"one"},{"n":2,"q":"two"}])"s);
        QCOMPARE(columns(table), "q:string n:number"s);
        QCOMPARE(*table.text(1, 0), "two"s);
    }

    void keeps_every_kind_of_cell() {
        Table table = Table::open(folder_.write("k.jsonl",
                                                "{\"s\": \"é \\u00e9 \\\"\", \"f\": 1.5, \"b\": true, \"l\": "
                                                "[1, [2]], \"o\": {\"x\": {}}, \"e\": null}\n"
                                                "{\"late\": \"x\", \"s\": null}\n"));
        QCOMPARE(columns(table), "s:string f:number b:boolean l:list o:object e:empty late:string"s);
        QCOMPARE(table.cell(0, 3).dump(), "[1,[2]]"s);
        QVERIFY(table.cell(0, 6).is_null());
        QVERIFY(!table.text(1, 0));
        QCOMPARE(*table.text(0, 0), "é é \""s);
        auto error = error_of([&] { table.text(0, 1); });
        QCOMPARE(error->code(), "data.kind"s);
        QVERIFY(error->message().find("line 1") != std::string::npos);
        QCOMPARE(code_of([&] { table.cell(2, 0); }), "data.range"s);
    }

    void a_broken_row_17_is_named_or_skipped_and_counted() {
        std::string lines;
        for (int i = 1; i <= 30; ++i)
            lines += i == 17 ? "{\"text\": \"cut\n" : "{\"text\": \"row " + std::to_string(i) + "\"}\n";
        auto path = folder_.write("broken.jsonl", lines);
        auto error = error_of([&] { Table::open(path); });
        QCOMPARE(error->code(), "data.row"s);
        QCOMPARE(error->exit_code(), 2);
        QCOMPARE(error->where(), path.string() + ", line 17");
        QVERIFY(error->message().find("at column") != std::string::npos);
        Table table = Table::open(path, {.skip_bad_rows = true});
        QCOMPARE(table.rows(), 29u);
        QCOMPARE(*table.text(16, 0), "row 18"s);
        QCOMPARE(table.where(15), path.string() + ", line 16");
        QCOMPARE(table.where(16), path.string() + ", line 18");
        QCOMPARE(table.notices().size(), 1u);
        QVERIFY(table.notices()[0].find("1 row was left out") == 0);
        QVERIFY(table.notices()[0].find("line 17") != std::string::npos);
    }

    void a_bad_row_is_named_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QByteArray>("content");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("says");
        auto row = [](const char* title, const char* name, QByteArray content, const char* code,
                      const char* says) { QTest::newRow(title) << name << content << code << says; };
        row("truncated", "a.jsonl", "{\"t\": \"a\"}\n{\"t\": \"b", "data.row", "line 2");
        row("trailing garbage", "a.jsonl", "{\"t\": \"a\"} {\n", "data.row", "line 1");
        row("invalid UTF-8", "a.jsonl", "{\"t\": \"a\"}\n{\"t\": \"\xFF\"}\n", "data.row", "UTF-8");
        row("half a surrogate pair", "a.jsonl", "{\"t\": \"\\ud800\"}\n", "data.row", "line 1");
        row("a number beyond double", "a.jsonl", "{\"t\": 1e999}\n", "data.row", "line 1");
        row("NaN", "a.jsonl", "{\"t\": NaN}\n", "data.row", "line 1");
        row("a duplicate key", "a.jsonl", "{\"t\": 1, \"t\": 2}\n", "data.row", "appears twice");
        row("deep nesting", "a.jsonl", "{\"t\": " + QByteArray(100000, '[') + "\n", "data.row",
            "nested deeper");
        row("deep nesting in an array", "a.json", "[{\"t\": " + QByteArray(100000, '['), "data.row",
            "nested deeper");
        row("from object to array", "a.jsonl", "{\"t\": 1}\n{\"t\": 2}\n[1]\n", "data.row",
            "changed from object to array");
        row("scalars", "a.jsonl", "\"x\"\n", "data.row", "expected an object, got string");
        row("an array of scalars", "a.json", "[1, 2]", "data.row", "expected an object");
        row("an array never closed", "a.json", "[{\"t\": 1},\n{\"t\": 2}\n", "data.row", "never closed");
        row("an array cut in a row", "a.json", "[{\"t\": 1},\n{\"t\": ", "data.row", "line 2");
        row("an array without commas", "a.json", "[{\"t\": 1}\n{\"t\": 2}]", "data.row", "expected ','");
        row("text after the array", "a.json", "[{\"t\": 1}]\n7", "data.row", "after the array");
        row("a column changes its kind", "a.jsonl", "{\"t\": {}}\n{\"t\": null}\n{\"t\": []}\n",
            "data.kind_changed", "\"t\" changed from object to list");
        row("a string becomes a number", "a.jsonl", "{\"t\": \"a\"}\n{\"t\": 5}\n", "data.kind_changed",
            "line 2");
        row("columns as lists", "a.json", "{\"q\": [\"a\", \"b\"], \"a\": [\"c\", \"d\"]}", "data.format",
            "array of objects");
        row("UTF-16", "a.jsonl", QByteArray("\xFF\xFE{\0}\0", 6), "data.encoding", "UTF-16");
        row("gzip", "a.jsonl", "\x1F\x8B\x08 and more", "data.format", "compressed");
        row("an unknown format", "a.xyz", "what is this", "data.format", "\".xyz\"");
        row("empty", "a.jsonl", "", "data.empty", "got none");
        row("blank", "a.jsonl", "\n  \n", "data.empty", "got none");
        row("an empty array", "a.json", "[]", "data.empty", "got none");
        row("empty text", "a.txt", " \n\n", "data.empty", "got none");
        row("a zero byte in text", "a.txt", QByteArray("one\ntw\0o\n", 9), "data.encoding", "line 2");
        row("invalid UTF-8 in text", "a.txt", "one\ntwo\n\xC0\xAF\n", "data.encoding", "line 3");
    }
    void a_bad_row_is_named() {
        QFETCH(QString, name);
        QFETCH(QByteArray, content);
        QFETCH(QString, code);
        QFETCH(QString, says);
        auto path = folder_.write(name.toStdString(), content.toStdString());
        auto error = error_of([&] { Table::open(path); });
        QVERIFY(error);
        QCOMPARE(QString::fromStdString(error->code()), code);
        QVERIFY2(error->message().find(says.toStdString()) != std::string::npos, error->what());
        QVERIFY2(error->message().find(path.string()) != std::string::npos, error->what());
        QVERIFY2(error->message().size() < 700, error->what());
        QCOMPARE(error->exit_code(), 2);
        Json(error->message()).dump();  // throws where the message is not UTF-8
    }

    void rows_of_another_kind_are_skipped_whole() {
        Table table = Table::open(
            folder_.write("s.jsonl", "{\"t\": \"a\"}\n{\"t\": 1, \"stray\": 2}\n[]\n{\"t\": \"b\"}\n"),
            {.skip_bad_rows = true});
        QCOMPARE(dump(table), R"([{"t":"a"},{"t":"b"}])"s);
        QCOMPARE(columns(table), "t:string"s);
        QVERIFY(table.notices()[0].find("2 rows were left out") == 0);
        QCOMPARE(code_of([&] { Table::open(folder_.write("s.jsonl", "x\ny\n"), {.skip_bad_rows = true}); }),
                 "data.empty"s);
    }

    void every_cut_of_a_file_is_an_error_or_fewer_rows() {
        const std::string whole = "[{\"t\": \"a\\\"b\", \"l\": [1, {\"x\": null}]},\n{\"t\": \"\xC3\xA9\"}]";
        for (std::size_t size = 0; size < whole.size(); ++size) {
            auto code = code_of([&] { Table::open(folder_.write("c.json", whole.substr(0, size))); });
            QVERIFY2(!code.empty(), std::to_string(size).c_str());
        }
        Table::open(folder_.write("c.json", whole));
    }

    void text_is_read_by_line_or_paragraph() {
        QCOMPARE(read("l.txt", "one\ntwo\r\nthree\n"),
                 R"([{"text":"one"},{"text":"two"},{"text":"three"}])"s);
        QCOMPARE(read("p.txt", "\none\n more\n\n \n\ntwo\n"), R"([{"text":"one\n more"},{"text":"two"}])"s);
        QCOMPARE(read("p.txt", "\xEF\xBB\xBFone\r\n more\r\n\r\ntwo"),
                 R"([{"text":"one\r\n more"},{"text":"two"}])"s);
        QCOMPARE(read("p.txt", "one\n more\n\ntwo\n", {.text_row = TableOptions::TextRow::line}),
                 R"([{"text":"one"},{"text":" more"},{"text":"two"}])"s);
        QCOMPARE(read("l.md", "one\ntwo\n", {.text_row = TableOptions::TextRow::paragraph}),
                 R"([{"text":"one\ntwo"}])"s);
        Table table = Table::open(folder_.write("p.txt", "one\n\n\ntwo\n"));
        QCOMPARE(table.where(1), folder_.path("p.txt").string() + ", line 4");
        QCOMPARE(table.notices(), std::vector<std::string>{"Each paragraph is a row."});
    }

    void what_is_no_file_is_refused() {
        QCOMPARE(code_of([&] { Table::open(folder_.path("absent.jsonl")); }), "file.not_found"s);
        std::filesystem::create_directory(folder_.path("folder.jsonl"));
        QCOMPARE(code_of([&] { Table::open(folder_.path("folder.jsonl")); }), "file.not_regular"s);
        QCOMPARE(::mkfifo(folder_.path("pipe.jsonl").c_str(), 0600), 0);
        QCOMPARE(code_of([&] { Table::open(folder_.path("pipe.jsonl")); }), "file.not_regular"s);
        QCOMPARE(code_of([] { Table::open("/dev/zero"); }), "file.not_regular"s);
        std::filesystem::create_symlink("loop.jsonl", folder_.path("loop.jsonl"));
        QCOMPARE(code_of([&] { Table::open(folder_.path("loop.jsonl")); }), "file.open"s);
        QCOMPARE(code_of([&] { Table::open(folder_.path(std::string(300, 'x') + ".jsonl")); }), "file.open"s);
        QCOMPARE(read("with space, ünïcode.jsonl", "{\"a\": 1}"), "[{\"a\":1}]"s);
    }

    void a_file_changed_while_open_is_noticed() {
        auto path = folder_.write("change.jsonl", "{\"t\": \"a\"}\n{\"t\": \"b\"}\n");
        Table table = Table::open(path);
        std::ofstream(path, std::ios::in | std::ios::binary).write("garbage!!!", 10);
        QCOMPARE(code_of([&] { table.row(0); }), "data.changed"s);
        std::filesystem::resize_file(path, 0);
        QCOMPARE(code_of([&] { table.row(1); }), "file.truncated"s);
    }

    void a_huge_line_is_read() {
        std::string line = "{\"t\": \"" + std::string(std::size_t{16} << 20, 'x') + "\"}\n";
        Table table = Table::open(folder_.write("huge.jsonl", line + line));
        QCOMPARE(table.rows(), 2u);
        QCOMPARE(table.text(1, 0)->size(), std::size_t{16} << 20);
        std::filesystem::remove(folder_.path("huge.jsonl"));
    }

    void opening_stops_at_once_and_tells_how_far_it_is() {
        std::string lines;
        for (int i = 0; i < 200000; ++i) lines += "{\"t\": \"row\"}\n";
        auto path = folder_.write("many.jsonl", lines);
        Control control;
        int calls = 0;
        Table::open(path, {}, &control, [&](const char*, double done, double total) {
            ++calls;
            QVERIFY(done <= total);
        });
        QVERIFY(calls >= 2 && calls < 60);
        control.stop();
        QCOMPARE(code_of([&] { Table::open(path, {}, &control); }), "stopped"s);
    }

    void rows_in_memory_are_a_table_too() {
        Table table = Table::from_rows({{{"q", "one"}, {"n", 1}}, {{"q", nullptr}}}, "sample");
        QCOMPARE(columns(table), "q:string n:number"s);
        QCOMPARE(table.where(1), "sample, row 2"s);
        QCOMPARE(code_of([] { Table::from_rows({{{"q", "one"}}, {{"q", 2}}}); }), "data.kind_changed"s);
        QCOMPARE(code_of([] { Table::from_rows({OrderedJson(3)}); }), "data.row"s);
    }

    void several_threads_read_one_table() {
        std::string lines;
        for (int i = 0; i < 2000; ++i) lines += "{\"t\": \"" + std::to_string(i) + "\"}\n";
        Table table = Table::open(folder_.write("threads.jsonl", lines));
        std::atomic<int> wrong{0};
        {
            std::vector<std::jthread> threads;
            for (int t = 0; t < 4; ++t)
                threads.emplace_back([&] {
                    for (std::size_t row = 0; row < table.rows(); ++row)
                        wrong += *table.text(row, 0) != std::to_string(row);
                });
        }
        QCOMPARE(wrong.load(), 0);
    }
};

QTEST_APPLESS_MAIN(TableTest)
#include "table_test.moc"
