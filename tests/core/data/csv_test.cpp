#include <QtTest>

#include "tests/core/data/fixtures.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;
using namespace std::string_literals;

class CsvTest : public QObject {
    Q_OBJECT
    Folder folder_;

    // Cells as "a|b/c|d".
    std::string read(std::string_view content, TableOptions options = {}, const std::string& name = "d.csv") {
        Table table = Table::open(folder_.write(name, content), options);
        std::string text;
        for (const auto& column : table.columns()) text += (text.empty() ? "" : "|") + column.name;
        for (std::size_t row = 0; row < table.rows(); ++row)
            for (std::size_t i = 0; i < table.columns().size(); ++i)
                text += (i ? "|" : "/") + table.text(row, i).value();
        return text;
    }

  private slots:
    void reads_data() {
        QTest::addColumn<QByteArray>("content");
        QTest::addColumn<QString>("cells");
        auto row = [](const char* title, QByteArray content, const char* cells) {
            QTest::newRow(title) << content << cells;
        };
        row("plain", "a,b\n1,2\n3,4\n", "a|b/1|2/3|4");
        row("no line end at the end", "a,b\n1,2", "a|b/1|2");
        row("CRLF", "a,b\r\n1,2\r\n3,4\r\n", "a|b/1|2/3|4");
        row("CR", "a,b\r1,2\r3,4\r", "a|b/1|2/3|4");
        row("byte order mark",
            "\xEF\xBB\xBF"
            "a,b\n1,2\n",
            "a|b/1|2");
        row("byte order mark before a quote", "\xEF\xBB\xBF\"a\",b\n1,2\n", "a|b/1|2");
        row("quotes", "a,b\n\"1\",\"2\"\n", "a|b/1|2");
        row("quote in quote", "a,b\n\"say \"\"hi\"\"\",\"\"\"\"\n", "a|b/say \"hi\"|\"");
        row("separator in quotes", "a,b\n\"1,5\",2\n", "a|b/1,5|2");
        row("newline in quotes", "a,b\n\"one\ntwo\",x\n3,4\n", "a|b/one\ntwo|x/3|4");
        row("CRLF in quotes stays", "a,b\r\n\"one\r\ntwo\",x\r\n", "a|b/one\r\ntwo|x");
        row("a quote inside an open field", "a,b\n5\" pipe,x\n", "a|b/5\" pipe|x");
        row("semicolons", "a;b\n1,5;2\n", "a|b/1,5|2");
        row("tabs", "a\tb\n1, 2\t3\n", "a|b/1, 2|3");
        row("bars", "a|b\n1|2\n", "a|b/1|2");
        row("one column", "text\nhello there\nhow; are you\n", "text/hello there/how; are you");
        row("empty fields", "a,b,c\n,,\n1,,3\n", "a|b|c/||/1||3");
        row("blank lines", "\na,b\n\n1,2\n\n\n", "a|b/1|2");
        row("lines with # are data", "a,b\n#1,2\n", "a|b/#1|2");
        row("an unnamed column", "a,,c\n1,2,3\n", "a|column 2|c/1|2|3");
        row("blanks around names", " a , b \n 1 , 2 \n", "a|b/ 1 | 2 ");
        row("unicode", "frage,antwort\nWieviel kostet’s?,„5 €“ 🙂\n",
            "frage|antwort/Wieviel kostet’s?|„5 €“ 🙂");
        row("commas in prose do not outvote tabs", "q\ta\nwell, yes, no\tok, fine\none, two\tthree\n",
            "q|a/well, yes, no|ok, fine/one, two|three");
    }
    void reads() {
        QFETCH(QByteArray, content);
        QFETCH(QString, cells);
        QCOMPARE(QString::fromStdString(read(content.toStdString())), cells);
    }

    void refuses_data() {
        QTest::addColumn<QByteArray>("content");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("says");
        auto row = [](const char* title, QByteArray content, const char* code, const char* says) {
            QTest::newRow(title) << content << code << says;
        };
        row("missing quote", "a,b\n1,2\n\"3,4\n5,6\n", "data.row",
            "line 3: a quote is opened and never closed");
        row("missing quote in the header", "\"a,b\n1,2\n", "data.row", "line 1");
        row("text after a quote", "a,b\n\"1\"x,2\n", "data.row", "line 2");
        row("a row too long", "a,b\n1,2\n\n1,2,3\n", "data.row",
            "line 4: expected 2 fields as in the first line, got 3");
        row("a row too short", "a,b,c\n1,2\n", "data.row", "expected 3 fields as in the first line, got 2");
        row("ragged after a field over lines", "a,b\n\"1\n2\n3\",4\n5\n", "data.row", "line 5");
        row("invalid UTF-8", "a,b\n1,caf\xE9\n", "data.encoding", "line 2");
        row("a name twice", "a,b,a\n1,2,3\n", "data.header", "\"a\" is there twice");
        row("only a header", "a,b\n", "data.empty", "got none");
        row("empty", "", "data.empty", "got none");
        row("blank", "\n\n", "data.empty", "got none");
        row("columns without end", QByteArray(5000, ',') + "\n1\n", "data.columns_limit", "4096");
    }
    void refuses() {
        QFETCH(QByteArray, content);
        QFETCH(QString, code);
        QFETCH(QString, says);
        auto error = error_of([&] { read(content.toStdString()); });
        QVERIFY(error);
        QCOMPARE(QString::fromStdString(error->code()), code);
        QVERIFY2(error->message().find(says.toStdString()) != std::string::npos, error->what());
    }

    void bad_rows_are_skipped_on_wish() {
        TableOptions skip{.skip_bad_rows = true};
        QCOMPARE(read("a,b\n1,2\n3\n\"x\"y,4\n\xFF,5\n6,7\n", skip), "a|b/1|2/6|7"s);
        QCOMPARE(read("a,b\n1,2\n\"3,4\n5,6\n", skip), "a|b/1|2/5|6"s);  // the rest is not swallowed
        Table table = Table::open(folder_.path("d.csv"), skip);
        QCOMPARE(table.where(1), folder_.path("d.csv").string() + ", line 4");
        QVERIFY(table.notices()[0].find("line 3") != std::string::npos);
    }

    void rows_know_their_lines() {
        Table table = Table::open(folder_.write("l.tsv", "a\tb\n\"1\n1\"\t2\n\n3\t4\n"));
        QCOMPARE(table.where(0), folder_.path("l.tsv").string() + ", line 2");
        QCOMPARE(table.where(1), folder_.path("l.tsv").string() + ", line 5");
        QCOMPARE(table.row(1).dump(), R"({"a":"3","b":"4"})"s);
    }

    void every_cut_is_an_error_or_a_table() {
        const std::string whole = "a,b\r\n\"x\"\"y\",\"\xC3\xA9\n\"\r\n1,2\r\n";
        for (std::size_t size = 0; size <= whole.size(); ++size)
            for (bool skip : {false, true})
                code_of([&] { read(whole.substr(0, size), {.skip_bad_rows = skip}); });
    }
};

QTEST_APPLESS_MAIN(CsvTest)
#include "csv_test.moc"
