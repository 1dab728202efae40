#include "ui/models/runs_model.h"

#include <QAbstractItemModelTester>
#include <QSignalSpy>
#include <QTest>
#include <limits>

using namespace qlora;
using namespace qlora::ui;

namespace {

RunEntry entry(std::int64_t id, const std::string& name, const std::string& status = "completed") {
    RunEntry made;
    made.run.id = id;
    made.run.name = name;
    made.run.status = status;
    made.run.precision = "nf4";
    made.run.model = "smollm2-135m";
    return made;
}

}  // namespace

class RunsModelTest : public QObject {
    Q_OBJECT

  private slots:
    void obeys_the_rules_of_item_models_through_every_change() {
        RunsModel model;
        QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.set_entries({entry(3, "c"), entry(2, "b"), entry(1, "a")});
        model.set_entries({entry(4, "d"), entry(3, "c"), entry(1, "a")});
        model.set_entries({entry(1, "a"), entry(4, "d"), entry(3, "changed")});
        QCOMPARE(model.rowCount(), 3);
        QCOMPARE(model.index(2).data().toString(), "changed");
        model.set_entries({});
        QCOMPARE(model.rowCount(), 0);
    }

    void keeps_a_chosen_run_through_a_refresh() {
        RunsModel model;
        model.set_entries({entry(2, "b"), entry(1, "a")});
        const QPersistentModelIndex chosen = model.index_of(1);
        model.set_entries({entry(5, "e"), entry(2, "b"), entry(1, "a", "failed")});
        QVERIFY(chosen.isValid());
        QCOMPARE(chosen.row(), 2);
        QCOMPARE(chosen.data(RunsModel::StatusRole).toString(), "failed");
        model.set_entries({entry(5, "e")});
        QVERIFY(!chosen.isValid());
    }

    void tells_the_view_nothing_when_nothing_changed() {
        RunsModel model;
        auto with_gap = entry(1, "a");
        with_gap.losses = {2.0, std::numeric_limits<double>::quiet_NaN(), 1.0};
        model.set_entries({with_gap});
        QSignalSpy changes(&model, &RunsModel::dataChanged);
        model.set_entries({with_gap});
        QCOMPARE(changes.count(), 0);
        with_gap.losses[2] = 0.5;
        model.set_entries({with_gap});
        QCOMPARE(changes.count(), 1);
    }

    void shows_a_name_with_markup_and_place_markers_as_it_is() {
        RunsModel model;
        auto odd = entry(1, "<b>%1</b> & %n");
        odd.checkpoints = 3;
        odd.run.folder_bytes = 41'200'000;
        odd.run.error = "<img src=x>";
        model.set_entries({odd});
        QCOMPARE(model.index(0).data().toString(), "<b>%1</b> & %n");
        QVERIFY(!model.index(0).data(Qt::ToolTipRole).toString().contains("<img"));
        QCOMPARE(delete_question(odd), QString("Delete “<b>%1</b> & %n” and its 3 checkpoints (41.2 MB)?"));
    }

    void says_what_deleting_costs() {
        auto run = entry(1, "banking r16");
        run.run.folder_bytes = 5'000'000;
        QCOMPARE(delete_question(run), QString("Delete “banking r16” (5.00 MB)?"));
        run.checkpoints = 1;
        QCOMPARE(delete_question(run), QString("Delete “banking r16” and its checkpoint (5.00 MB)?"));
    }

    void a_missing_loss_is_a_dash_and_never_zero() {
        RunsModel model;
        auto run = entry(1, "a");
        model.set_entries({run});
        QCOMPARE(model.index(0).data(RunsModel::BestLossRole).toString(), "–");
        run.run.best_loss = std::numeric_limits<double>::quiet_NaN();
        model.set_entries({run});
        QCOMPARE(model.index(0).data(RunsModel::BestLossRole).toString(), "–");
        run.run.best_loss = 1.234;
        model.set_entries({run});
        QCOMPARE(model.index(0).data(RunsModel::BestLossRole).toString(), "1.23");
    }

    void asks_for_a_rename_only_when_the_name_is_new() {
        RunsModel model;
        model.set_entries({entry(7, "old")});
        QSignalSpy renames(&model, &RunsModel::rename_requested);
        QVERIFY(!model.setData(model.index(0), "  "));
        QVERIFY(!model.setData(model.index(0), "old"));
        QVERIFY(model.setData(model.index(0), "  new\nname "));
        QCOMPARE(renames.count(), 1);
        QCOMPARE(renames[0][0].toLongLong(), 7);
        QCOMPARE(renames[0][1].toString(), "new name");
    }
};

QTEST_MAIN(RunsModelTest)
#include "runs_model_test.moc"
