#include "ui/models/trials_model.h"

#include <QAbstractItemModelTester>
#include <QSignalSpy>
#include <QSortFilterProxyModel>
#include <QTest>
#include <cmath>

#include "tests/ui/searches.h"
#include "ui/models/trial_axes.h"

using namespace qlora;
using namespace qlora::ui;

class TrialsModelTest : public QObject {
    Q_OBJECT

    static QString cell(const QAbstractItemModel& model, int row, int column) { return model.index(row, column).data().toString(); }

  private slots:
    void it_is_a_well_behaved_table() {
        TrialsModel model;
        QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.set_standing(some_search());
        auto standing = some_search();
        standing.trials[5].status = search::Trial::Status::running;
        model.set_standing(standing);
        model.clear();
        model.set_standing(standing);
        QCOMPARE(model.rowCount(), 6);
        QCOMPARE(model.columnCount(), TrialsModel::first_value_column + 3 + 2);
    }

    void it_says_what_each_run_tried_and_came_to() {
        TrialsModel model;
        model.set_standing(some_search());
        QCOMPARE(model.headerData(TrialsModel::metric_column, Qt::Horizontal).toString(), "Accuracy");
        QCOMPARE(model.headerData(TrialsModel::first_value_column + 1, Qt::Horizontal).toString(), "Rank");
        QCOMPARE(model.best_row(), 1);
        QCOMPARE(cell(model, 1, TrialsModel::trial_column), QString::fromUtf8("★ 2"));
        QCOMPARE(cell(model, 1, TrialsModel::metric_column), "82.0 %");
        QCOMPARE(cell(model, 0, TrialsModel::first_value_column + 2), "2e-4");
        QCOMPARE(cell(model, 0, TrialsModel::first_value_column + 3), "100 / 100");
        QCOMPARE(cell(model, 4, TrialsModel::state_column), "Failed");
        QVERIFY(model.index(4, 0).data(Qt::ToolTipRole).toString().contains("no finite loss"));
        QCOMPARE(cell(model, 5, TrialsModel::metric_column), QString::fromUtf8("–"));
    }

    void it_sorts_by_number_and_what_has_none_comes_last() {
        TrialsModel model;
        model.set_standing(some_search());
        QSortFilterProxyModel sorted;
        sorted.setSourceModel(&model);
        sorted.setSortRole(TrialsModel::SortRole);
        sorted.sort(TrialsModel::metric_column, Qt::DescendingOrder);
        QCOMPARE(sorted.mapToSource(sorted.index(0, 0)).row(), 1);
        QVERIFY(sorted.mapToSource(sorted.index(5, 0)).row() >= 4);
        sorted.sort(TrialsModel::first_value_column + 1, Qt::AscendingOrder);  // 4 before 8 before 16
        for (int row = 0; row + 1 < 6; ++row)
            QVERIFY(cell(sorted, row, TrialsModel::first_value_column + 1).toInt() <= cell(sorted, row + 1, TrialsModel::first_value_column + 1).toInt());
    }

    void a_new_standing_of_the_same_search_keeps_the_rows() {
        TrialsModel model;
        auto standing = some_search();
        model.set_standing(standing);
        QSignalSpy resets(&model, &QAbstractItemModel::modelReset), changes(&model, &QAbstractItemModel::dataChanged);
        standing.trials[5].status = search::Trial::Status::completed;
        standing.trials[5].rungs = {0.9};
        model.set_standing(standing);
        QCOMPARE(resets.count(), 0);
        QCOMPARE(changes.count(), 2);  // the run itself, and the one that was best before
        QCOMPARE(model.best_row(), 5);
        standing.folder = "/searches/other-1";
        model.set_standing(standing);
        QCOMPARE(resets.count(), 1);
    }

    void places_on_axes_follow_their_scale_and_better_is_up() {
        auto standing = some_search();
        auto axes = trial_axes(standing.search, standing.trials);
        QCOMPARE(axes.size(), std::size_t(4));
        const auto& rate = axes[2];
        QVERIFY(rate.kind == TrialAxis::Kind::log);
        QVERIFY(std::abs(rate.at(1e-5)) < 1e-9 && std::abs(rate.at(1e-2) - 1) < 1e-9 && std::abs(rate.at(std::sqrt(1e-7)) - 0.5) < 1e-9);
        QVERIFY(axes[1].at(4) < axes[1].at(8) && axes[1].at(8) < axes[1].at(16));
        QVERIFY(std::isnan(axes[1].at(5)));
        QCOMPARE(axes[3].at(0.82), 1.0);
        QVERIFY(std::isnan(places_of(standing.trials[5], standing.search, axes).back()));
        QVERIFY(rate.ticks().size() >= 3);
        standing.search.maximize = false;
        QCOMPARE(trial_axes(standing.search, standing.trials)[3].at(0.82), 0.0);
    }
};

QTEST_MAIN(TrialsModelTest)
#include "trials_model_test.moc"
