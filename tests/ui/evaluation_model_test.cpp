#include "ui/models/evaluation_model.h"

#include <QAbstractItemModelTester>
#include <QTest>

using namespace qlora;
using namespace qlora::ui;

class EvaluationModelTest : public QObject {
    Q_OBJECT

  private slots:
    void obeys_the_rules_of_item_models_and_survives_missing_answers() {
        EvaluationModel model;
        QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        evaluate::Report report;
        report.questions = {"one", "two"};
        report.expected = {"1"};
        report.contenders = {{"base", 2, 7.4, 2, 10, {"a"}}, {"tuned", 1, 2.7, 2, 10, {"b", "c"}}};
        model.set_report(report);
        QCOMPARE(model.rowCount(), 2);
        QCOMPARE(model.index(0).data(EvaluationModel::ExpectedRole).toString(), "1");
        QCOMPARE(model.index(1).data(EvaluationModel::ExpectedRole).toString(), "");
        QCOMPARE(model.index(1).data(EvaluationModel::BaseRole).toString(), "");
        QCOMPARE(model.index(1).data(EvaluationModel::TunedRole).toString(), "c");
        QVERIFY(model.contender("tuned"));
        QVERIFY(!model.contender("few-shot"));
        model.clear();
        QCOMPARE(model.rowCount(), 0);
        QVERIFY(!model.contender("tuned"));
    }
};

QTEST_MAIN(EvaluationModelTest)
#include "evaluation_model_test.moc"
