#include "core/formats/json_cursor.h"

#include <QtTest>

#include "core/base/json.h"
#include "core/formats/names.h"
#include "tests/core/formats/files.h"

using namespace qlora::formats;
using namespace qlora::formats::testing;

class JsonCursorTest : public QObject {
    Q_OBJECT

  private slots:
    // The strict reader of core/base is the other opinion: both accept or both refuse.
    void skipping_a_value_checks_all_of_it_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<bool>("fine");
        for (const char* text :
             {"{}", "[]", " [ 1 , -2.5e+3, 0, -0, 1E5, \"x\" , null, true,false ] ",
              "{\"a\":{\"b\":[[],{}]},\"c\":1}", "\"\\u00e9\\n\\/\"", "\"\\ud83d\\ude00\"", "0", "\"\""})
            QTest::newRow(text) << QByteArray(text) << true;
        for (const char* text : {"",
                                 " ",
                                 "{",
                                 "[",
                                 "[1,]",
                                 "[,1]",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "{\"a\":1,}",
                                 "{a:1}",
                                 "[1 2]",
                                 "01",
                                 "-",
                                 "1.",
                                 ".5",
                                 "1e",
                                 "+1",
                                 "nul",
                                 "truex",
                                 "\"",
                                 "\"\\x\"",
                                 "\"\\u12\"",
                                 "\"\\ud800\"",
                                 "\"\\ud800\\u0041\"",
                                 "\"\\udc00\"",
                                 "\"\t\"",
                                 "]",
                                 "}",
                                 "[}",
                                 "{]",
                                 "[1]]",
                                 "'a'",
                                 "NaN",
                                 "Infinity",
                                 "// c\n1",
                                 "\"\xC0\x80\"",
                                 "\"\xED\xA0\x80\"",
                                 "\"\xF4\x90\x80\x80\"",
                                 "\"\xE2\x82\""})
            QTest::newRow(text) << QByteArray(text) << false;
        QTest::newRow("32 levels") << QByteArray(32, '[') + QByteArray(32, ']') << true;
        QTest::newRow("33 levels") << QByteArray(33, '[') + QByteArray(33, ']') << false;
    }
    void skipping_a_value_checks_all_of_it() {
        QFETCH(QByteArray, text);
        QFETCH(bool, fine);
        std::string copy = text.toStdString();
        Outcome cursor = outcome_of([&] {
            JsonCursor json(copy, "code", "where");
            json.skip_value();
            json.end_of_text();
        });
        QVERIFY2(cursor.code.empty() == fine, cursor.message.c_str());
        if (text.count('[') > 32) return;
        bool accepted = outcome_of([&] { qlora::parse_json(copy, "where"); }).code.empty();
        QCOMPARE(accepted, fine);
    }

    void a_string_is_unescaped_and_bounded() {
        std::string text, json = "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00\u00fc\"";
        JsonCursor(json, "code", "where").string(text, 100);
        QCOMPARE(text, std::string("a\"\\/\b\f\n\r\tA\u00e9\u20ac\U0001F600\u00fc"));
        QCOMPARE(outcome_of([&] { JsonCursor(json, "code", "where").string(text, text.size() - 1); }).code,
                 std::string("code"));
    }

    void names_are_shown_safely() {
        QCOMPARE(in_quotes("a\n\xFF\u00fc"), std::string("\"a\\x0a\\xff\u00fc\""));
        QVERIFY(in_quotes(std::string(1000, 'x')).size() < 100);
        std::vector<std::string_view> names{"a", "b", "c", "d", "e", "f", "g"};
        QCOMPARE(listed(names), std::string("\"a\", \"b\", \"c\", \"d\", \"e\" and 2 more"));
    }
};

QTEST_GUILESS_MAIN(JsonCursorTest)
#include "json_cursor_test.moc"
