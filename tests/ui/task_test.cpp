#include "ui/engine/task.h"

#include <QSignalSpy>
#include <QTest>
#include <QThread>
#include <atomic>
#include <chrono>
#include <memory>
#include <new>

using namespace qlora;
using namespace qlora::ui;

namespace {

constexpr int patience_ms = 5000;

void work_until_stopped(Worker& worker) {
    for (;;) {
        worker.control().check();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

}  // namespace

class TaskTest : public QObject {
    Q_OBJECT

  private slots:
    void works_elsewhere_and_answers_here_in_order() {
        Task task;
        QSignalSpy finished(&task, &Task::finished);
        QThread* worked_on = nullptr;
        QList<int> answers;
        bool answered_here = true;
        task.start([&](Worker& worker) {
            worked_on = QThread::currentThread();
            for (int i = 0; i < 100; ++i)
                worker.post([&, i] {
                    answers << i;
                    answered_here &= QThread::currentThread() == thread();
                });
        });
        QVERIFY(task.running());
        QVERIFY(finished.wait(patience_ms));
        QVERIFY(!task.running());
        QVERIFY(worked_on != thread());
        QVERIFY(answered_here);
        QCOMPARE(answers.size(), 100);
        QCOMPARE(answers.front(), 0);
        QCOMPARE(answers.back(), 99);
    }

    void after_cancel_nothing_arrives() {
        Task task;
        QSignalSpy cancelled(&task, &Task::cancelled), finished(&task, &Task::finished), failed(&task, &Task::failed);
        std::atomic<bool> posted = false;
        int answers = 0;
        task.start([&](Worker& worker) {
            worker.post([&] { ++answers; });
            posted = true;
            work_until_stopped(worker);
        });
        while (!posted) QThread::yieldCurrentThread();
        task.cancel();
        QCOMPARE(cancelled.count(), 1);
        QTest::qWait(50);
        QCOMPARE(answers, 0);
        QCOMPARE(finished.count() + failed.count(), 0);
    }

    void new_work_takes_the_place_of_old_without_waiting_for_it() {
        Task task;
        QSignalSpy finished(&task, &Task::finished);
        QStringList answers;
        task.start([&](Worker& worker) {
            try {
                work_until_stopped(worker);
            } catch (const Error&) {
                std::this_thread::sleep_for(std::chrono::milliseconds(200));
                worker.post([&] { answers << "old"; });
            }
        });
        const auto before = std::chrono::steady_clock::now();
        task.start([&](Worker& worker) { worker.post([&] { answers << "new"; }); });
        QVERIFY(std::chrono::steady_clock::now() - before < std::chrono::milliseconds(150));
        QVERIFY(finished.wait(patience_ms));
        QTest::qWait(300);
        QCOMPARE(answers, QStringList{"new"});
        QCOMPARE(finished.count(), 1);
    }

    void stop_keeps_the_answers() {
        Task task;
        QSignalSpy finished(&task, &Task::finished), failed(&task, &Task::failed);
        int answers = 0;
        task.start([&](Worker& worker) {
            worker.post([&] { ++answers; });
            work_until_stopped(worker);
        });
        task.stop();
        QVERIFY(finished.wait(patience_ms));
        QCOMPARE(answers, 1);
        QCOMPARE(failed.count(), 0);
    }

    void a_typed_error_arrives_whole_and_so_does_want_of_memory() {
        Task task;
        std::unique_ptr<Error> caught;
        connect(&task, &Task::failed, this, [&](const Error& error) { caught = std::make_unique<Error>(error); });
        QSignalSpy failed(&task, &Task::failed), finished(&task, &Task::finished);
        task.start([](Worker&) { throw input_error("data.row", "a.jsonl, line 17", "expected an object", "fix it"); });
        QTRY_COMPARE_WITH_TIMEOUT(failed.count(), 1, patience_ms);
        QCOMPARE(caught->code(), std::string("data.row"));
        QCOMPARE(caught->where(), std::string("a.jsonl, line 17"));
        QCOMPARE(caught->hint(), std::string("fix it"));
        task.start([](Worker&) { throw std::bad_alloc(); });
        QTRY_COMPARE_WITH_TIMEOUT(failed.count(), 2, patience_ms);
        QCOMPARE(caught->code(), std::string("memory.exhausted"));
        QCOMPARE(finished.count(), 0);
    }

    void may_be_started_again_from_its_own_answer() {
        Task task;
        int rounds = 0;
        connect(&task, &Task::finished, this, [&] {
            if (++rounds < 50) task.start([](Worker&) {});
        });
        task.start([](Worker&) {});
        QTRY_COMPARE_WITH_TIMEOUT(rounds, 50, patience_ms);
    }

    void goes_away_in_the_midst_of_work() {
        for (int round = 0; round < 50; ++round) {
            auto task = std::make_unique<Task>();
            task->start([](Worker& worker) {
                for (;;) {
                    worker.control().check();
                    worker.post([] {});
                    worker.progress()("working", 1, 2);
                }
            });
            if (round % 2) QCoreApplication::processEvents();
        }
        QCoreApplication::processEvents();
    }

    void tells_of_progress_at_most_twenty_times_a_second() {
        Task task;
        QSignalSpy told(&task, &Task::progressed), finished(&task, &Task::finished);
        task.start([](Worker& worker) {
            const auto progress = worker.progress();
            for (int i = 0; i <= 10000; ++i) progress("counting", i, 10000);
        });
        QVERIFY(finished.wait(patience_ms));
        QVERIFY(told.count() >= 2);
        QVERIFY2(told.count() < 200, qPrintable(QString::number(told.count())));
        QCOMPARE(told.back()[1].toDouble(), 10000.0);
    }
};

QTEST_MAIN(TaskTest)
#include "task_test.moc"
