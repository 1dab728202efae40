// Figures against scikit-learn, scipy and sacreBLEU (tests/golden/metrics.py), and cases checked by hand.
#include "core/evaluate/metrics.h"

#include <cmath>

#include "core/base/json.h"
#include "tests/torch_tests.h"

using namespace qlora;
using namespace qlora::evaluate;

namespace {

const Json& cases(const char* kind) {
    static const Json all = read_json_file(golden("metrics.json"));
    return all[kind];
}

void each_of(const char* kind) {
    QTest::addColumn<int>("index");
    for (int i = 0; i < int(cases(kind).size()); ++i)
        QTest::newRow(cases(kind)[i]["name"].get<std::string>().c_str()) << i;
}

std::vector<std::string> names(std::size_t count) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < count; ++i) names.push_back("class " + std::to_string(i));
    return names;
}

bool near(double a, double b, double tolerance = 1e-12) { return std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b)); }

bool near_classes(const std::vector<ClassFigures>& classes, const Json& expected) {
    bool all = true;
    for (std::size_t i = 0; i < classes.size(); ++i)
        all = all && near(classes[i].precision, expected["precision"][i].get<double>()) &&
              near(classes[i].recall, expected["recall"][i].get<double>()) &&
              near(classes[i].f1, expected["f1"][i].get<double>()) &&
              classes[i].rows == expected["rows"][i].get<std::int64_t>();
    return all && classes.size() == expected["f1"].size();
}

std::vector<std::uint8_t> flat(const Json& rows) {
    std::vector<std::uint8_t> values;
    for (const auto& row : rows)
        for (const auto& value : row) values.push_back(value.get<std::uint8_t>());
    return values;
}

using Labels = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

}  // namespace

class MetricsTest : public QObject {
    Q_OBJECT

  private slots:
    void classes_are_those_of_scikit_learn_data() { each_of("classification"); }
    void classes_are_those_of_scikit_learn() {
        QFETCH(int, index);
        const Json& golden = cases("classification")[index];
        const auto labels = names(golden["classes"].get<std::size_t>());
        const auto measured = classification(golden["expected"].get<Labels>(), golden["predicted"].get<Labels>(), labels);
        QCOMPARE(measured.rows, std::int64_t(golden["expected"].size()));
        QVERIFY(near(measured.accuracy, golden["accuracy"].get<double>()));
        QVERIFY(near(measured.macro_f1, golden["macro_f1"].get<double>()));
        QVERIFY(near_classes(measured.classes, golden));
        QCOMPARE(Json(measured.confusion), golden["confusion"]);
        QCOMPARE(measured.classes[1].name, std::string("class 1"));
        QVERIFY(figures(measured) == (std::map<std::string, double>{{"accuracy", measured.accuracy}, {"macro_f1", measured.macro_f1}}));
    }

    void labels_are_those_of_scikit_learn_data() { each_of("multi_label"); }
    void labels_are_those_of_scikit_learn() {
        QFETCH(int, index);
        const Json& golden = cases("multi_label")[index];
        const auto measured =
            multi_label(flat(golden["expected"]), flat(golden["predicted"]), names(golden["labels"].get<std::size_t>()));
        QCOMPARE(measured.rows, std::int64_t(golden["expected"].size()));
        QVERIFY(near(measured.exact, golden["exact"].get<double>()));
        QVERIFY(near(measured.micro_f1, golden["micro_f1"].get<double>()));
        QVERIFY(near(measured.macro_f1, golden["macro_f1"].get<double>()));
        QVERIFY(near_classes(measured.classes, golden));
        QCOMPARE(figures(measured).at("exact_match"), measured.exact);
    }

    void numbers_are_those_of_scikit_learn_and_scipy_data() { each_of("regression"); }
    void numbers_are_those_of_scikit_learn_and_scipy() {
        QFETCH(int, index);
        const Json& golden = cases("regression")[index];
        const auto measured =
            regression(golden["expected"].get<std::vector<double>>(), golden["predicted"].get<std::vector<double>>());
        for (const auto& [name, value] : figures(measured))
            // Values of a million that differ by thousandths leave six digits.
            QVERIFY2(near(value, golden[name].get<double>(), index == 2 ? 1e-6 : 1e-12), name.c_str());
    }

    void chrf_is_that_of_sacrebleu_data() { each_of("text"); }
    void chrf_is_that_of_sacrebleu() {
        QFETCH(int, index);
        const Json& golden = cases("text")[index];
        const auto expected = golden["expected"].get<Texts>(), given = golden["given"].get<Texts>();
        const double all = chrf(expected, given);
        QVERIFY2(near(all, golden["chrf"].get<double>(), 1e-10), std::to_string(all).c_str());
        for (std::size_t i = 0; i < expected.size(); ++i)
            QVERIFY(near(chrf(Texts{expected[i]}, Texts{given[i]}), golden["sentences"][i].get<double>(), 1e-10));
        // Not the other way round: recall counts for more than precision.
        if (expected != given && all > 0) QVERIFY(!near(chrf(given, expected), all, 1e-10));
    }

    void without_rows_all_is_zero() {
        const auto classes = classification({}, {}, names(2));
        QCOMPARE(classes.rows, std::int64_t(0));
        QCOMPARE(classes.accuracy, 0.0);
        QCOMPARE(classes.macro_f1, 0.0);
        QCOMPARE(classes.classes.size(), std::size_t(2));
        QCOMPARE(multi_label({}, {}, names(2)).micro_f1, 0.0);
        QCOMPARE(multi_label({}, {}, {}).classes.size(), std::size_t(0));
        QCOMPARE(regression({}, {}).mean_squared_error, 0.0);
        QCOMPARE(exact_match({}, {}), 0.0);
        QCOMPARE(chrf({}, {}), 0.0);
    }

    void one_class_alone_does_not_lower_the_mean_by_those_that_never_come() {
        const Labels rows(5, 1);
        const auto measured = classification(rows, rows, names(3));
        QCOMPARE(measured.accuracy, 1.0);
        QCOMPARE(measured.macro_f1, 1.0);
        QCOMPARE(measured.classes[0].f1, 0.0);
    }

    void a_class_that_is_never_predicted_has_no_precision() {
        const auto measured = classification(Labels{0, 0, 1, 1}, Labels{0, 0, 0, 0}, names(2));
        QCOMPARE(measured.accuracy, 0.5);
        QCOMPARE(measured.classes[0].precision, 0.5);
        QCOMPARE(measured.classes[0].recall, 1.0);
        QCOMPARE(measured.classes[1].precision, 0.0);
        QVERIFY(near(measured.macro_f1, (2.0 / 3 + 0) / 2));
        QCOMPARE(measured.confusion, (std::vector<Labels>{{2, 0}, {2, 0}}));
    }

    void one_label_counts_only_where_it_is_there() {
        const auto measured = multi_label(std::vector<std::uint8_t>{1, 1, 0, 0}, std::vector<std::uint8_t>{1, 0, 1, 0},
                                          names(1));
        QCOMPARE(measured.exact, 0.5);
        QCOMPARE(measured.micro_f1, 0.5);
        QCOMPARE(measured.macro_f1, 0.5);
    }

    void a_side_that_does_not_vary_correlates_with_nothing() {
        const auto measured = regression(std::vector{1.0, 2.0, 3.0}, std::vector{2.0, 2.0, 2.0});
        QCOMPARE(measured.pearson, 0.0);
        QCOMPARE(measured.spearman, 0.0);
        QVERIFY(near(measured.mean_absolute_error, 2.0 / 3));
    }

    void blanks_at_the_ends_do_not_count_and_letters_do() {
        QCOMPARE(exact_match(Texts{"yes", "no", "a b", "\u00a0x"}, Texts{" yes\n", "No", "a  b", "x\u3000"}), 0.5);
        QCOMPARE(exact_match(Texts{"", "  "}, Texts{" \t", ""}), 1.0);
    }

    void bytes_that_are_no_text_are_one_character_each_time() {
        QCOMPARE(chrf(Texts{"a\xFF" "b"}, Texts{"a\uFFFD" "b"}), 100.0);
        QVERIFY(chrf(Texts{"a\xFF" "b"}, Texts{"ab"}) < 100);
    }

    void sides_that_do_not_fit_are_refused() {
        QCOMPARE(code_of([] { classification(Labels{0}, Labels{0, 1}, names(2)); }), std::string("metrics.shape"));
        QCOMPARE(code_of([] { classification(Labels{2}, Labels{0}, names(2)); }), std::string("metrics.shape"));
        QCOMPARE(code_of([] { classification(Labels{0}, Labels{-1}, names(2)); }), std::string("metrics.shape"));
        QCOMPARE(code_of([] { multi_label(std::vector<std::uint8_t>(3), std::vector<std::uint8_t>(3), names(2)); }),
                 std::string("metrics.shape"));
        QCOMPARE(code_of([] { regression(std::vector{1.0}, {}); }), std::string("metrics.shape"));
        QCOMPARE(code_of([] { exact_match(Texts{"a"}, {}); }), std::string("metrics.shape"));
        QCOMPARE(code_of([] { chrf(Texts{"a"}, {}); }), std::string("metrics.shape"));
    }
};

QTEST_GUILESS_MAIN(MetricsTest)
#include "metrics_test.moc"
