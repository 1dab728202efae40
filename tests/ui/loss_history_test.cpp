#include "ui/engine/loss_history.h"

#include <QTemporaryDir>
#include <QTest>
#include <algorithm>
#include <cmath>
#include <fstream>

#include "core/events/events.h"

using namespace qlora;
using namespace qlora::ui;

class LossHistoryTest : public QObject {
    Q_OBJECT

    QTemporaryDir folder_;
    Control control_;

    std::filesystem::path file(const char* name) const { return folder_.filePath(name).toStdString(); }

    static void append(const std::filesystem::path& path, std::int64_t step, double loss) {
        train::StepDone event;
        event.step = step;
        event.loss = loss;
        std::ofstream(path, std::ios::app) << train::to_line(event) << '\n';
    }

  private slots:
    void reads_what_was_appended_since() {
        const auto path = file("grows.jsonl");
        LossHistory history(path);
        history.update(control_);
        QVERIFY(history.thinned().isEmpty());
        append(path, 1, 3);
        append(path, 2, 2);
        history.update(control_);
        QCOMPARE(history.thinned(), (QList<double>{3, 2}));
        append(path, 3, 1);
        history.update(control_);
        QCOMPARE(history.thinned(), (QList<double>{3, 2, 1}));
    }

    void passes_over_other_events_broken_lines_and_a_line_still_being_written() {
        const auto path = file("broken.jsonl");
        append(path, 1, 3);
        std::ofstream(path, std::ios::app) << "{\"event\":\"step\",\n" << train::to_line(train::Checkpointed{1, "x", 0}) << '\n';
        append(path, 2, 2);
        std::ofstream(path, std::ios::app) << "{\"event\":\"step\",\"step\":3";
        LossHistory history(path);
        history.update(control_);
        QCOMPARE(history.thinned(), (QList<double>{3, 2}));
    }

    void steps_told_again_by_a_resumed_run_replace_the_old_ones() {
        const auto path = file("resumed.jsonl");
        for (int step = 1; step <= 6; ++step) append(path, step, step);
        for (int step = 4; step <= 5; ++step) append(path, step, 10 * step);
        LossHistory history(path);
        history.update(control_);
        QCOMPARE(history.thinned(), (QList<double>{1, 2, 3, 40, 50}));
    }

    void thinning_keeps_spikes_and_gaps() {
        const auto path = file("long.jsonl");
        for (int step = 1; step <= 1000; ++step)
            append(path, step, step == 500 ? 99 : step > 900 ? std::nan("") : 1.0);
        LossHistory history(path);
        history.update(control_);
        const auto values = history.thinned(96);
        QVERIFY(values.size() <= 96);
        QCOMPARE(*std::ranges::max_element(values, {}, [](double v) { return std::isfinite(v) ? v : 0; }), 99.0);
        QVERIFY(std::isnan(values.back()));
    }

    void starts_over_when_the_file_was_made_anew() {
        const auto path = file("anew.jsonl");
        for (int step = 1; step <= 6; ++step) append(path, step, step);
        LossHistory history(path);
        history.update(control_);
        std::filesystem::remove(path);
        append(path, 1, 7);
        history.update(control_);
        QCOMPARE(history.thinned(), (QList<double>{7}));
    }
};

QTEST_MAIN(LossHistoryTest)
#include "loss_history_test.moc"
