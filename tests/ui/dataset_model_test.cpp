#include "ui/models/dataset_model.h"

#include <QAbstractItemModelTester>
#include <QSignalSpy>
#include <QTest>

using namespace qlora;
using namespace qlora::ui;
using namespace Qt::StringLiterals;

namespace {

const std::vector<data::Column> two_columns = {{"question", data::ColumnKind::string}, {"answer", data::ColumnKind::string}};

DatasetBlock block(int first, int count, const QString& text = "cell") {
    DatasetBlock made{first, {}};
    for (int row = first; row < first + count; ++row) made.cells.push_back({u"%1 %2"_s.arg(text).arg(row), text});
    return made;
}

data::DatasetReport report_of_odd_rows() {
    data::DatasetReport report;
    report.empty_rows = {7};
    report.duplicates = {{2, 5, 9}};
    report.leaks = {{3, 0}};
    report.dropped = {{1, "the answer is empty", {7}}};
    return report;
}

}  // namespace

class DatasetModelTest : public QObject {
    Q_OBJECT

  private slots:
    void obeys_the_rules_of_item_models() {
        DatasetModel model;
        QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.reset(200, two_columns);
        model.provide(block(0, 64));
        model.set_remarks(report_of_odd_rows());
        model.set_only_remarks(true);
        QCOMPARE(model.rowCount(), 4);
        model.provide(block(64, 64));
        model.set_only_remarks(false);
        model.reset(0, {});
        QCOMPARE(model.columnCount(), 0);
    }

    void asks_for_a_block_once_and_for_no_more_than_is_looked_at() {
        DatasetModel model;
        model.reset(1'000'000, two_columns);
        QSignalSpy wanted(&model, &DatasetModel::wanted);
        QCOMPARE(model.rowCount(), 1'000'000);
        QCOMPARE(model.index(0, 0).data().toString(), "…");
        QCOMPARE(model.index(1, 1).data().toString(), "…");
        QCOMPARE(wanted.count(), 1);
        QCOMPARE(wanted[0][0].toInt(), 0);
        QCOMPARE(wanted[0][1].toInt(), DatasetModel::block_rows);
        model.index(999'999, 0).data();
        QCOMPARE(wanted.count(), 2);
        QCOMPARE(wanted[1][0].toInt() + wanted[1][1].toInt(), 1'000'000);
    }

    void shows_what_was_provided_and_ignores_what_nobody_asked_for() {
        DatasetModel model;
        model.reset(200, two_columns);
        model.provide(block(0, 64, "unasked"));
        QCOMPARE(model.index(0, 0).data().toString(), "…");
        QSignalSpy changed(&model, &DatasetModel::dataChanged);
        model.provide(block(0, 64));
        QCOMPARE(changed.count(), 1);
        QCOMPARE(model.index(5, 0).data().toString(), "cell 5");
    }

    void forgets_the_blocks_looked_at_longest_ago() {
        DatasetModel model;
        model.reset(1'000'000, two_columns);
        QSignalSpy wanted(&model, &DatasetModel::wanted);
        model.index(0, 0).data();
        model.provide(block(0, 64));
        for (int i = 1; i < 200; ++i) model.index(i * DatasetModel::block_rows, 0).data();
        wanted.clear();
        QCOMPARE(model.index(0, 0).data().toString(), "…");
        QCOMPARE(wanted.count(), 1);
    }

    void names_what_is_odd_about_a_row() {
        DatasetModel model;
        model.reset(20, two_columns);
        model.set_remarks(report_of_odd_rows());
        const int remark = model.remark_column();
        QCOMPARE(model.index(5, remark).data().toString(), "Same as row 3");
        QCOMPARE(model.index(3, remark).data().toString(), "Held-out row 1 too");
        QCOMPARE(model.index(7, remark).data().toString(), "The answer is empty");
        QVERIFY(!model.index(2, remark).data().isValid());
        QCOMPARE(model.remarks(), 4);
    }

    void a_remark_beyond_the_table_is_left_out() {
        DatasetModel model;
        model.reset(4, two_columns);
        model.set_remarks(report_of_odd_rows());
        QCOMPARE(model.remarks(), 1);
    }

    void shown_rows_keep_their_number_in_the_file() {
        DatasetModel model;
        model.reset(20, two_columns);
        model.set_remarks(report_of_odd_rows());
        model.set_only_remarks(true);
        QCOMPARE(model.headerData(1, Qt::Vertical).toString(), "6");
        QCOMPARE(model.index(1, 0).data(DatasetModel::RowRole).toInt(), 5);
    }

    void headings_say_which_part_a_column_plays() {
        DatasetModel model;
        model.reset(1, two_columns);
        data::ColumnRoles roles;
        roles.layout = data::ColumnRoles::Layout::prompt_completion;
        roles.prompt = "question";
        model.set_roles(roles);
        QCOMPARE(model.headerData(0, Qt::Horizontal).toString(), "question (prompt)");
        QCOMPARE(model.headerData(1, Qt::Horizontal).toString(), "answer");
    }

    void text_with_markup_stays_text() {
        DatasetModel model;
        model.reset(1, two_columns);
        model.index(0, 0).data();
        model.provide({0, {{"<h1>big</h1>\nnext", "b"}}});
        QCOMPARE(model.index(0, 0).data().toString(), "<h1>big</h1> next");
        QVERIFY(!model.index(0, 0).data(Qt::ToolTipRole).toString().contains("<h1>"));
    }
};

QTEST_MAIN(DatasetModelTest)
#include "dataset_model_test.moc"
