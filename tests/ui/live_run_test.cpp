#include "ui/models/live_run.h"

#include <QSignalSpy>
#include <QTest>
#include <cmath>

#include "tests/ui/recorded_engine.h"

using namespace qlora;
using namespace qlora::ui;

class LiveRunTest : public QObject {
    Q_OBJECT

  private slots:
    void a_run_is_gathered_from_its_events() {
        RecordedEngine engine;
        LiveRun run;
        connect(&engine, &Engine::event, &run, &LiveRun::take);
        connect(&engine, &Engine::run_state_changed, &run, &LiveRun::set_state);
        connect(&engine, &Engine::run_started, &run, &LiveRun::begin);
        QSignalSpy ended(&run, &LiveRun::ended);
        engine.start({});
        QVERIFY(run.active());
        engine.play(40);
        QCOMPARE(run.steps().size(), std::size_t(40));
        QVERIFY(run.state_text().startsWith("Step 40 of 156"));
        QVERIFY(std::abs(run.seconds_left() - 116 * 0.82) < 1);
        engine.play();
        QCOMPARE(run.steps().size(), std::size_t(156));
        QCOMPARE(ended.count(), 1);
        QVERIFY(!run.active());
        QCOMPARE(run.best_step(), 130);
        QVERIFY(run.sparkline().size() <= 120);
    }
    void steps_told_again_after_a_resume_replace_the_old_ones() {
        LiveRun run;
        for (int step = 1; step <= 10; ++step) run.take(train::StepDone{.step = step, .loss = 2});
        run.take(train::StepDone{.step = 6, .loss = 1});
        QCOMPARE(run.steps().size(), std::size_t(6));
        QCOMPARE(run.steps().back().loss, 1.0);
    }
    void a_run_from_disk_has_its_memory_from_its_steps() {
        LiveRun run;
        train::StepDone step{.step = 1, .seconds = 0.5};
        step.bytes[MemoryTag::weights] = 7;
        train::StepDone next{.step = 2, .seconds = 0.25};
        next.bytes[MemoryTag::weights] = 9;
        run.replay("/run", {step, next});
        QCOMPARE(run.memory().size(), std::size_t(2));
        QCOMPARE(run.memory().back().seconds, 0.75);
        QCOMPARE(run.memory().back().bytes[MemoryTag::weights], std::int64_t(9));
    }
    void the_turn_of_the_validation_loss_is_found_when_it_is_sure() {
        LiveRun run;
        const auto turn_after = [&](std::int64_t step, double loss) {
            run.take(train::Evaluated{.step = step, .loss = loss, .metrics = {}, .best = false, .samples = {}});
            return run.overfit_step();
        };
        for (const auto& [step, loss] : {std::pair{10, 2.0}, {20, 1.5}, {30, 1.0}, {40, 1.1}}) QCOMPARE(turn_after(step, loss), std::int64_t(-1));
        QCOMPARE(turn_after(50, 1.05), std::int64_t(30));
        QCOMPARE(turn_after(60, 1.01), std::int64_t(-1));  // no more than noise
        QCOMPARE(turn_after(70, 0.9), std::int64_t(-1));
    }
    void it_tells_at_most_thirty_times_a_second() {
        LiveRun run;
        QSignalSpy advanced(&run, &LiveRun::advanced);
        for (int step = 1; step <= 5000; ++step) run.take(train::StepDone{.step = step, .loss = 2});
        QTest::qWait(100);
        QCOMPARE(advanced.count(), 1);
    }
    void the_doctor_sees() {
        QFETCH(QString, kind);
        QFETCH(QString, word);
        LiveRun run;
        for (int i = 1; i <= 60; ++i) {
            train::StepDone step{
                .step = i, .loss = 3 * std::exp(-i / 20.0) + 0.5, .grad_norm = 1, .trained_tokens = 100};
            if (kind == "flat") step.loss = 2;
            if (kind == "rising") step.loss = 1 + i * 0.1;
            if (kind == "zero") step.loss = i < 10 ? 1 : 1e-5;
            if (kind == "skipped" && i % 3 == 0) step.skipped = true, step.loss = NAN;
            if (kind == "masked") step.trained_tokens = 0;
            if (kind == "exploding" && i == 60) step.grad_norm = 500;
            run.take(step);
        }
        if (kind == "overfitting")
            for (int i = 1; i <= 5; ++i)
                run.take(train::Evaluated{.step = i * 10, .loss = i < 3 ? 1.0 - i * 0.1 : 1.0 + i * 0.1});
        const auto findings = run.findings();
        QVERIFY(!findings.empty());
        QVERIFY2(findings.front().text.contains(word), qPrintable(findings.front().text));
        QCOMPARE(findings.front().weight == Finding::Weight::good, kind == "healthy");
    }
    void the_doctor_sees_data() {
        QTest::addColumn<QString>("kind");
        QTest::addColumn<QString>("word");
        QTest::newRow("a healthy run") << "healthy"
                                       << "healthy";
        QTest::newRow("a flat loss") << "flat"
                                     << "does not move";
        QTest::newRow("a rising loss") << "rising"
                                       << "rises";
        QTest::newRow("a loss of zero") << "zero"
                                        << "almost zero";
        QTest::newRow("skipped steps") << "skipped"
                                       << "were skipped";
        QTest::newRow("everything masked") << "masked"
                                           << "masked";
        QTest::newRow("exploding gradients") << "exploding"
                                             << "gradient";
        QTest::newRow("overfitting") << "overfitting"
                                     << "has not improved";
    }
};

QTEST_GUILESS_MAIN(LiveRunTest)
#include "live_run_test.moc"
