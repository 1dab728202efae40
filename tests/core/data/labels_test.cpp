// Labels: what a column of them says, row by row, and what is refused.
#include "core/data/labels.h"

#include <QtTest>

#include "core/data/tokenized.h"
#include "tests/core/data/fixtures.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;
using namespace std::string_literals;
using recipe::ProblemType;

namespace {

const ColumnRoles roles{.layout = ColumnRoles::Layout::labelled, .text = "t", .label = "y"};

// A table of one text a row, and the labels of this JSON list.
Table labelled(const std::string& labels) {
    std::vector<OrderedJson> rows;
    for (const auto& label : OrderedJson::parse(labels)) rows.push_back({{"t", "a text"}, {"y", label}});
    return Table::from_rows(rows);
}

Labels labels_of(const Table& table, const LabelOptions& options = {}) { return read_labels(table, roles, all_rows(table), options); }

// "single_label_classification: ham spam"
std::string words(const Labels& labels) {
    std::string text(recipe::name(labels.type));
    for (const auto& name : labels.names) text += (&name == &labels.names.front() ? ": " : " ") + name;
    return text;
}

// Every row's label, as numbers.
std::string values(const Table& table, const Labels& labels) {
    Json all = Json::array();
    for (std::size_t row = 0; row < table.rows(); ++row) all.push_back(read_label(table, row, roles, labels));
    return all.dump();
}

std::string whole_numbers(int count) {
    Json list = Json::array();
    for (int i = 0; i < count; ++i) list.push_back(i);
    return list.dump();
}

}  // namespace

class LabelsTest : public QObject {
    Q_OBJECT

  private slots:
    void a_column_says_what_its_labels_are_data() {
        QTest::addColumn<QString>("cells");
        QTest::addColumn<QString>("labels");
        QTest::addColumn<QString>("values");
        auto row = [](const char* cells, const char* labels, const char* values) { QTest::newRow(cells) << cells << labels << values; };
        row(R"(["spam","ham","spam"])", "single_label_classification: ham spam", "[[1.0],[0.0],[1.0]]");
        row(R"(["spam"," ham\n","ham"])", "single_label_classification: ham spam", "[[1.0],[0.0],[0.0]]");
        row("[true,false]", "single_label_classification: false true", "[[1.0],[0.0]]");
        row("[10,9,2]", "single_label_classification: 2 9 10", "[[2.0],[1.0],[0.0]]");
        row(R"(["10","9","2"])", "single_label_classification: 2 9 10", "[[2.0],[1.0],[0.0]]");
        row("[1.0,2.0]", "single_label_classification: 1 2", "[[0.0],[1.0]]");
        row("[-1,1]", "single_label_classification: -1 1", "[[0.0],[1.0]]");
        row("[0.5,2]", "regression: value", "[[0.5],[2.0]]");
        row(R"(["0.5","-2"])", "regression: value", "[[0.5],[-2.0]]");
        row("[[0.5,2],[1,3.5]]", "regression: value 1 value 2", "[[0.5,2.0],[1.0,3.5]]");
        row(R"([["a","b"],["b"],[]])", "multi_label_classification: a b", "[[1.0,1.0],[0.0,1.0],[0.0,0.0]]");
        row("[[3,1],[2]]", "multi_label_classification: 1 2 3", "[[1.0,0.0,1.0],[0.0,1.0,0.0]]");
        row("[[0,1],[1,1]]", "multi_label_classification: label 1 label 2", "[[0.0,1.0],[1.0,1.0]]");
        row(R"(["a",null,"b"," "])", "single_label_classification: a b", "[[0.0],[],[1.0],[]]");
        row(R"(["3","x"])", "single_label_classification: 3 x", "[[0.0],[1.0]]");
        row(R"(["nan","inf"])", "single_label_classification: inf nan", "[[1.0],[0.0]]");
    }
    void a_column_says_what_its_labels_are() {
        QFETCH(QString, cells);
        QFETCH(QString, labels);
        QFETCH(QString, values);
        const Table table = labelled(cells.toStdString());
        const Labels found = labels_of(table);
        QCOMPARE(QString::fromStdString(words(found)), labels);
        QCOMPARE(QString::fromStdString(::values(table, found)), values);
    }

    void many_different_whole_numbers_are_values() {
        QCOMPARE(labels_of(labelled(whole_numbers(100))).type, ProblemType::single_label);
        QCOMPARE(labels_of(labelled(whole_numbers(101))).type, ProblemType::regression);
        QCOMPARE(labels_of(labelled(whole_numbers(101)), {.type = ProblemType::single_label}).names.size(), 101u);
    }

    void the_problem_may_be_chosen() {
        const Table numbers = labelled("[1,2,3]");
        QCOMPARE(words(labels_of(numbers, {.type = ProblemType::regression})), "regression: value"s);
        QCOMPARE(values(numbers, labels_of(numbers, {.type = ProblemType::regression})), "[[1.0],[2.0],[3.0]]"s);
        const Table classes = labelled(R"(["a","b","a"])");
        const Labels several = labels_of(classes, {.type = ProblemType::multi_label});
        QCOMPARE(values(classes, several), "[[1.0,0.0],[0.0,1.0],[1.0,0.0]]"s);
    }

    void a_classifiers_own_order_is_kept_where_the_rows_use_it() {
        const LabelOptions model{.model_names = {"NEGATIVE", "NEUTRAL", "POSITIVE"}};
        const Table named = labelled(R"(["positive","negative"])");
        const Labels kept = labels_of(named, model);
        QCOMPARE(kept.names, model.model_names);
        QCOMPARE(values(named, kept), "[[2.0],[0.0]]"s);
        QCOMPARE(label_text(named, 0, roles, kept), "POSITIVE"s);
        const Table placed = labelled("[2,0]");
        QCOMPARE(values(placed, labels_of(placed, model)), "[[2.0],[0.0]]"s);
        QCOMPARE(words(labels_of(labelled("[3,0]"), model)), "single_label_classification: 0 3"s);
        QCOMPARE(words(labels_of(labelled(R"(["positive","bad"])"), model)), "single_label_classification: bad positive"s);
    }

    void a_number_is_no_place_among_numbers() {
        const Labels stars = labels_of(labelled("[1,2,3]"));
        const Table table = labelled("[2,0]");
        QCOMPARE(read_label(table, 0, roles, stars), std::vector<float>{1});
        QCOMPARE(code_of([&] { read_label(table, 1, roles, stars); }), "data.label"s);
        // A classifier's own names may be numbers; labels that are none of them are then places.
        const LabelOptions model{.model_names = {"1", "2", "3"}};
        const Table places = labelled("[0,2,1]"), names = labelled("[1,2,3]");
        QCOMPARE(values(places, labels_of(places, model)), "[[0.0],[2.0],[1.0]]"s);
        QCOMPARE(values(names, labels_of(names, model)), "[[0.0],[1.0],[2.0]]"s);
    }

    void a_class_is_counted_and_named_in_words() {
        const Table table = labelled(R"([["a","b"],["b"],[],null])");
        const Labels labels = labels_of(table);
        QVERIFY((class_counts(table, all_rows(table), roles, labels) == std::vector<std::size_t>{1, 2}));
        QCOMPARE(label_text(table, 0, roles, labels), "a, b"s);
        QCOMPARE(label_text(table, 3, roles, labels), ""s);
        const Table numbers = labelled("[0.5,3.25]");
        QVERIFY(class_counts(numbers, all_rows(numbers), roles, labels_of(numbers)).empty());
        QCOMPARE(label_text(numbers, 1, roles, labels_of(numbers)), "3.25"s);
    }

    void columns_without_classes_are_refused_data() {
        QTest::addColumn<QString>("cells");
        QTest::addColumn<int>("type");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("message");
        auto row = [](const std::string& cells, ProblemType type, const char* code, const char* message) {
            QTest::newRow(message) << QString::fromStdString(cells) << static_cast<int>(type) << code << message;
        };
        Json thousand = Json::array();
        for (int i = 0; i < 1001; ++i) thousand.push_back("class " + std::to_string(i));
        row(R"(["a","a"])", ProblemType::automatic, "data.labels", "at least two classes, got only \"a\"");
        row(R"(["",null])", ProblemType::automatic, "data.labels", "nothing but empty cells");
        row(thousand.dump(), ProblemType::automatic, "data.labels", "at most 1000 classes, got more");
        row("[[],[]]", ProblemType::automatic, "data.labels", "nothing but empty lists");
        row("[[1.5],[1.5,2]]", ProblemType::automatic, "data.labels", "the same number of values in every row");
        row(R"([["a"],["b"]])", ProblemType::single_label, "data.labels", "expected one label a row, got lists");
        row(R"([{"b":1},{"b":2}])", ProblemType::automatic, "data.label", "row 1: the column \"y\": expected text, a number, true or false");
        row(R"([["a"],["b",null]])", ProblemType::automatic, "data.label", "row 2: the column \"y\": expected text, a number");
        row(R"([["a"],["b"," "]])", ProblemType::automatic, "data.label", "row 2: the column \"y\": expected a label, got blanks");
    }
    void columns_without_classes_are_refused() {
        QFETCH(QString, cells);
        QFETCH(int, type);
        QFETCH(QString, code);
        QFETCH(QString, message);
        const Table table = labelled(cells.toStdString());
        const auto error = error_of([&] { labels_of(table, {.type = static_cast<ProblemType>(type)}); });
        QVERIFY(error);
        QCOMPARE(QString::fromStdString(error->code()), code);
        QVERIFY2(QString(error->what()).contains(message), error->what());
        QCOMPARE(error->exit_code(), 2);
    }

    void a_row_that_does_not_fit_is_named() {
        const Labels labels = labels_of(labelled(R"(["a","b"])"));
        const Table other = labelled(R"(["B","1","c","2"])");
        QCOMPARE(read_label(other, 0, roles, labels), std::vector<float>{1});
        QCOMPARE(code_of([&] { read_label(other, 1, roles, labels); }), "data.label"s);  // a number is no place among names
        QCOMPARE(code_of([&] { read_label(other, 3, roles, labels); }), "data.label"s);
        const auto unknown = error_of([&] { read_label(other, 2, roles, labels); });
        QCOMPARE(unknown->code(), "data.label"s);
        QCOMPARE(unknown->message(), "rows, row 3: the column \"y\": expected one of the training data's labels (\"a\", \"b\"), got \"c\""s);
        QCOMPARE(code_of([&] { read_label(labelled(R"([["a"]])"), 0, roles, labels); }), "data.label"s);
        // One mistake does not make classes of values.
        const Table mistaken = labelled(R"(["1.5","2.25","nan","3"])");
        const Labels values = labels_of(mistaken);
        QCOMPARE(values.type, ProblemType::regression);
        QCOMPARE(read_label(mistaken, 1, roles, values), std::vector<float>{2.25f});
        QCOMPARE(error_of([&] { read_label(mistaken, 2, roles, values); })->message(), "rows, row 3: the column \"y\": expected a number, got \"nan\""s);
        const Labels pairs = labels_of(labelled("[[0.5,1],[2,3]]"));
        QCOMPARE(code_of([&] { read_label(labelled("[[0.5]]"), 0, roles, pairs); }), "data.label"s);
        QCOMPARE(code_of([&] { read_label(labelled(R"([["x","y"]])"), 0, roles, pairs); }), "data.label"s);
    }

    void a_word_among_values_is_named() {
        const Table table = labelled(R"(["1.5","a"])");
        const Labels values = labels_of(table, {.type = ProblemType::regression});
        QCOMPARE(read_label(table, 0, roles, values), std::vector<float>{1.5f});
        const auto error = error_of([&] { read_label(table, 1, roles, values); });
        QVERIFY(error);
        QCOMPARE(error->message(), "rows, row 2: the column \"y\": expected a number, got \"a\""s);
    }

    void flags_are_one_for_each_name() {
        const Table table = labelled("[[0,1,0],[1,1,0]]");
        const Labels labels = labels_of(table, {.model_names = {"x", "y", "z"}});
        QCOMPARE(words(labels), "multi_label_classification: x y z"s);
        QCOMPARE(label_text(table, 1, roles, labels), "x, y"s);
        QVERIFY((class_counts(table, all_rows(table), roles, labels) == std::vector<std::size_t>{1, 2, 0}));
        QCOMPARE(code_of([&] { read_label(labelled("[[0,1]]"), 0, roles, labels); }), "data.label"s);
        QCOMPARE(code_of([&] { read_label(labelled("[[0,1,2]]"), 0, roles, labels); }), "data.label"s);
    }

    void a_column_that_is_not_there_is_named() {
        const Table table = labelled(R"(["a","b"])");
        ColumnRoles absent = roles;
        absent.label = "class";
        const auto error = error_of([&] { read_labels(table, absent, all_rows(table)); });
        QCOMPARE(error->code(), "data.columns"s);
        QVERIFY(QString(error->what()).contains("there is no column \"class\"; there are \"t\", \"y\""));
    }

    void only_the_rows_to_train_on_make_classes() {
        const Table table = labelled(R"(["a","b","c"])");
        const Labels labels = read_labels(table, roles, std::vector<RowIndex>{0, 1});
        QCOMPARE(words(labels), "single_label_classification: a b"s);
        QCOMPARE(code_of([&] { read_label(table, 2, roles, labels); }), "data.label"s);
    }
};

QTEST_APPLESS_MAIN(LabelsTest)
#include "labels_test.moc"
