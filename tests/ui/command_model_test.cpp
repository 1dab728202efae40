#include "ui/models/command_model.h"

#include <QAbstractItemModelTester>
#include <QTest>

using namespace qlora::ui;

class CommandModelTest : public QObject {
    Q_OBJECT

  private slots:
    void it_keeps_the_rules_of_item_models() {
        CommandModel model;
        QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.set_commands({{"Start the run", "Train", "play", "Ctrl+R", {}, {}},
                            {"Learning rate", "train.learning_rate = 2e-4", "settings", {}, {}, {}}});
        model.set_filter("rate");
        QCOMPARE(model.rowCount(), 1);
        model.set_filter("");
        QCOMPARE(model.rowCount(), 2);
        model.set_filter("zzzz");
        QCOMPARE(model.rowCount(), 0);
        QVERIFY(!model.command(model.index(0)));
    }
    void the_best_match_comes_first() {
        CommandModel model;
        model.set_commands({{"Generate", {}, {}, {}, {}, {}},
                            {"Learning rate", {}, {}, {}, {}, {}},
                            {"Rate", {}, {}, {}, {}, {}}});
        model.set_filter("rate");
        QCOMPARE(model.command(model.index(0))->name, "Rate");
        QCOMPARE(model.command(model.index(1))->name, "Learning rate");
    }
    void letters_in_order_are_enough() {
        QVERIFY(match_score("lrt", "Learning rate") >= 0);
        QVERIFY(match_score("trl", "Learning rate") < 0);
    }
    void what_cannot_run_says_why() {
        CommandModel model;
        model.set_commands({{"Pause", {}, {}, {}, {}, [] { return QString("No run is going"); }}});
        QVERIFY(!(model.flags(model.index(0)) & Qt::ItemIsEnabled));
        QCOMPARE(model.index(0).data(CommandModel::WhyNotRole), "No run is going");
    }
};

QTEST_GUILESS_MAIN(CommandModelTest)
#include "command_model_test.moc"
