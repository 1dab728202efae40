#include "core/data/split.h"

#include <QtTest>
#include <set>

#include "tests/core/data/fixtures.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;
using namespace std::string_literals;

namespace {

const ColumnRoles text_roles{.layout = ColumnRoles::Layout::text, .text = "text"};

Table texts(const std::vector<std::string>& list) {
    std::vector<OrderedJson> rows;
    for (const auto& text : list) rows.push_back({{"text", text}});
    return Table::from_rows(rows);
}

// `distinct` texts, each `copies` times, in turn.
Table repeated(int distinct, int copies) {
    std::vector<std::string> list;
    for (int copy = 0; copy < copies; ++copy)
        for (int i = 0; i < distinct; ++i) list.push_back("text number " + std::to_string(i));
    return texts(list);
}

std::string shape(const Split& s) {
    return std::to_string(s.train.size()) + " " + std::to_string(s.validation.size()) + " " +
           std::to_string(s.test.size());
}

}  // namespace

class SplitTest : public QObject {
    Q_OBJECT

  private slots:
    void parts_are_disjoint_and_whole_for_many_sizes() {
        for (int rows : {2, 3, 7, 50, 301})
            for (double validation : {0.0, 0.1, 0.5, 1.0})
                for (std::uint64_t seed : {1, 2}) {
                    Split parts = split(repeated(rows, 1), text_roles,
                                        {.validation = validation, .test = 0.0, .seed = seed});
                    std::set<RowIndex> all;
                    for (const auto* part : {&parts.train, &parts.validation, &parts.test}) {
                        QVERIFY(std::is_sorted(part->begin(), part->end()));
                        all.insert(part->begin(), part->end());
                    }
                    QCOMPARE(all.size(), static_cast<std::size_t>(rows));
                    QCOMPARE(parts.train.size() + parts.validation.size(), static_cast<std::size_t>(rows));
                }
    }

    void sizes_are_as_asked() {
        QCOMPARE(shape(split(repeated(100, 1), text_roles, {.validation = 0.1, .test = 0.2})), "70 10 20"s);
        QCOMPARE(shape(split(repeated(100, 1), text_roles, {.validation = 7, .test = 1})), "92 7 1"s);
        QCOMPARE(shape(split(repeated(5, 1), text_roles, {.validation = 0.01})), "4 1 0"s);
        QCOMPARE(shape(split(repeated(5, 1), text_roles, {.validation = 0})), "5 0 0"s);
        QCOMPARE(shape(split(repeated(50, 2), text_roles, {.validation = 0.1})), "90 10 0"s);
    }

    void the_seed_decides() {
        Table table = repeated(60, 1);
        auto validation = [&](std::uint64_t seed) {
            return split(table, text_roles, {.validation = 0.2, .seed = seed}).validation;
        };
        QVERIFY(validation(1) == validation(1));
        QVERIFY(validation(1) != validation(2));
    }

    void duplicates_stay_on_one_side() {
        Table table = repeated(40, 3);
        Split parts = split(table, text_roles, {.validation = 0.25, .test = 0.25});
        std::set<RowIndex> sides[3];
        for (auto row : parts.train) sides[0].insert(row % 40);
        for (auto row : parts.validation) sides[1].insert(row % 40);
        for (auto row : parts.test) sides[2].insert(row % 40);
        QCOMPARE(sides[0].size() + sides[1].size() + sides[2].size(), 40u);
        QCOMPARE(shape(parts), "60 30 30"s);
    }

    void too_little_to_split_is_an_error() {
        QCOMPARE(code_of([] { split(repeated(1, 1), text_roles, {.validation = 0.1}); }), "data.split"s);
        QCOMPARE(code_of([] { split(repeated(1, 20), text_roles, {.validation = 0.1}); }), "data.split"s);
        QCOMPARE(code_of([] { split(repeated(5, 1), text_roles, {.validation = 5}); }), "data.split"s);
        QCOMPARE(code_of([] { split(repeated(2, 1), text_roles, {.validation = 1, .test = 1}); }),
                 "data.split"s);
        QCOMPARE(code_of([] { split(repeated(5, 1), text_roles, {.validation = -0.1}); }), "data.split"s);
        QCOMPARE(code_of([] { split(repeated(5, 1), text_roles, {.validation = std::nan("")}); }),
                 "data.split"s);
    }

    void empty_rows_take_no_place_in_validation() {
        std::vector<std::string> list(10, "");
        for (int i = 0; i < 10; ++i) list.push_back("text " + std::to_string(i));
        Split parts = split(texts(list), text_roles, {.validation = 0.2});
        QCOMPARE(shape(parts), "18 2 0"s);
        for (auto row : parts.validation) QVERIFY(row >= 10);
        QCOMPARE(code_of([] {
                     split(texts({"", "", "one"}), text_roles, {.validation = 0.5});
                 }),
                 "data.split"s);
    }

    void texts_are_equal_after_folding() {
        QVERIFY(text_key("Straße  ﬁn\n") == text_key("STRASSE fin"));
        QVERIFY(text_key("e\u0301\u00A0x") == text_key("\u00C9 x"));
        QVERIFY(text_key("") == text_key(" \t\n"));
        QVERIFY(text_key("resume") != text_key("résumé"));
        QVERIFY(text_key("ab") != text_key("a b"));
    }

    void duplicates_and_leaks_are_found() {
        Table table = texts({"one", "two", "One ", "three", "TWO", "", " "});
        QVERIFY((find_duplicates(table, text_roles) == std::vector<std::vector<RowIndex>>{{0, 2}, {1, 4}}));
        QVERIFY((find_leaks(table, texts({"four", "three", "", "two"}), text_roles) ==
                 std::vector<Leak>{{3, 1}, {1, 3}}));
        QVERIFY(find_leaks(table, texts({"four"}), text_roles).empty());
    }

    void the_same_words_in_other_roles_are_not_duplicates() {
        Table table = Table::from_rows({{{"q", "a"}, {"a", "b"}},
                                        {{"q", "b"}, {"a", "a"}},
                                        {{"q", "ab"}, {"a", "c"}},
                                        {{"q", "a"}, {"a", "bc"}}});
        QVERIFY(
            find_duplicates(
                table, {.layout = ColumnRoles::Layout::prompt_completion, .prompt = "q", .completion = "a"})
                .empty());
    }

    void splitting_stops_when_asked() {
        Control control;
        control.stop();
        QCOMPARE(code_of([&] { split(repeated(50, 1), text_roles, {}, &control); }), "stopped"s);
    }
};

QTEST_APPLESS_MAIN(SplitTest)
#include "split_test.moc"
