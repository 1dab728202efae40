#include <qcustomplot.h>

#include <QApplication>
#include <QElapsedTimer>
#include <QFile>
#include <QTemporaryDir>
#include <QTest>
#include <cmath>

#include "core/base/error.h"
#include "ui/charts/decimate.h"
#include "ui/charts/loss_chart.h"
#include "ui/charts/memory_chart.h"
#include "ui/theme/theme.h"

using namespace qlora;
using namespace qlora::ui;

class ChartTest : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() { theme_ = std::make_unique<theme::Theme>(*qApp, theme::Scheme::light); }

    void a_million_points_keep_their_spikes() {
        std::vector<double> x(1'000'000), y(1'000'000, 1.0);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = double(i);
        y[123'456] = 9;
        y[654'321] = -9;
        const Points points = decimate(x, y, 0, 1e6, 2000);
        QVERIFY(points.x.size() <= 2000);
        QCOMPARE(*std::max_element(points.y.begin(), points.y.end()), 9.0);
        QCOMPARE(*std::min_element(points.y.begin(), points.y.end()), -9.0);
        QVERIFY(std::is_sorted(points.x.begin(), points.x.end()));
    }
    void gaps_stay_gaps() {
        std::vector<double> x(100'000), y(100'000, 1.0);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = double(i);
        for (std::size_t i = 40'000; i < 50'000; ++i) y[i] = NAN;
        y[70'000] = INFINITY;
        const Points points = decimate(x, y, 0, 1e5, 2000);
        std::size_t gaps = 0;
        for (double value : points.y) {
            QVERIFY(!std::isinf(value));
            gaps += std::isnan(value);
        }
        QVERIFY(gaps >= 11);
        const Points few = decimate(std::span(x).first(3), std::vector<double>{1, INFINITY, 2}, 0, 2, 2000);
        QVERIFY(std::isnan(few.y[1]));
    }
    void nothing_is_decimated_without_need() {
        const std::vector<double> x{0, 1, 2}, y{3, 1, 2};
        QCOMPARE(decimate(x, y, 0, 2, 2000).y, y);
        QVERIFY(decimate({}, {}, 0, 1, 2000).x.empty());
    }
    void smoothing_starts_at_the_first_value_and_skips_gaps() {
        const auto means = smooth(std::vector<double>{4, 4, NAN, 4}, 0.9);
        QCOMPARE(means[0], 4.0);
        QVERIFY(std::isnan(means[2]));
        QVERIFY(std::abs(means[3] - 4) < 1e-12);
        QCOMPARE(smooth(std::vector<double>{1, 5}, 0)[1], 5.0);
    }
    void a_chart_takes_what_is_no_number() {
        LossChart chart;
        chart.resize(600, 300);
        chart.show();
        chart.add_train(1, NAN);
        chart.add_train(2, INFINITY);
        chart.redraw_now();
        chart.add_train(3, 2.5);
        chart.add_train(4, -INFINITY);
        chart.set_log_scale(true);
        chart.add_train(5, 0);  // has no logarithm
        chart.redraw_now();
        QVERIFY(std::isfinite(chart.plot()->yAxis->range().lower));
        QVERIFY(chart.plot()->yAxis->range().upper > 2.5);
        QVERIFY(chart.plot()->yAxis->range().upper < 100);
    }
    void a_million_steps_draw_at_most_two_thousand_points_quickly() {
        LossChart chart;
        chart.resize(600, 300);
        chart.show();
        std::vector<double> x(1'000'000), y(1'000'000);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = double(i), y[i] = 2 + std::sin(double(i) / 5000);
        chart.set_train(x, y);
        QElapsedTimer timer;
        timer.start();
        chart.redraw_now();
        qInfo("a million steps: %lld ms to redraw", static_cast<long long>(timer.elapsed()));
        QVERIFY(chart.drawn_points(LossChart::train) <= 2000);
    }
    void steps_told_again_replace_the_old_ones() {
        LossChart chart;
        chart.resize(600, 300);
        chart.show();
        for (int step = 1; step <= 10; ++step) chart.add_train(step, step);
        chart.add_train(6, 60);
        chart.redraw_now();
        QCOMPARE(chart.drawn_points(LossChart::train), std::size_t(6));
    }
    void the_theme_reaches_the_plot_at_once() {
        LossChart chart;
        chart.resize(600, 300);
        chart.show();
        chart.redraw_now();
        theme_->set_scheme(theme::Scheme::dark);
        chart.redraw_now();
        QTest::qWait(50);
        const QImage dark = chart.plot()->grab().toImage();
        QCOMPARE(QColor(dark.pixel(1, 1)).name(), theme::dark().card.name());
        theme_->set_scheme(theme::Scheme::light);
        QTest::qWait(50);
        QCOMPARE(QColor(chart.plot()->grab().toImage().pixel(1, 1)).name(), theme::light().card.name());
    }
    void exports_hold_the_data() {
        QTemporaryDir folder;
        LossChart chart;
        chart.resize(600, 300);
        chart.show();
        chart.add_train(1, 2.5);
        chart.add_train(2, NAN);
        chart.export_csv(folder.filePath("loss.csv"));
        QFile csv(folder.filePath("loss.csv"));
        QVERIFY(csv.open(QIODevice::ReadOnly));
        const QByteArray text = csv.readAll();
        QVERIFY(text.contains("\"train\",1,2.5\n"));
        QVERIFY(text.contains("\"train\",2,\n"));
        chart.export_png(folder.filePath("loss.png"));
        QCOMPARE(QImage(folder.filePath("loss.png")).width(), 2 * chart.plot()->width());
        chart.export_svg(folder.filePath("loss.svg"));
        QFile svg(folder.filePath("loss.svg"));
        QVERIFY(svg.open(QIODevice::ReadOnly));
        QVERIFY(svg.readAll().contains("<svg"));
        QVERIFY_EXCEPTION_THROWN(chart.export_png("/no/such/folder/loss.png"), Error);
    }
    void memory_is_stacked_in_the_order_of_the_tags() {
        MemoryChart chart;
        chart.resize(400, 300);
        chart.show();
        MemoryBytes bytes;
        bytes[MemoryTag::weights] = 100;
        bytes[MemoryTag::activations] = 50;
        chart.add(0, bytes);
        chart.add(1, bytes);
        chart.redraw_now();
        QCOMPARE(chart.plot()->graph(0)->data()->at(0)->value, 100.0);
        QCOMPARE(chart.plot()->graph(6)->data()->at(0)->value, 150.0);
    }

  private:
    std::unique_ptr<theme::Theme> theme_;
};

QTEST_MAIN(ChartTest)
#include "chart_test.moc"
