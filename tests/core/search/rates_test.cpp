// The learning-rate range test, over an engine whose loss is a known function of the rate.
#include <QtTest>

#include "core/base/error.h"
#include "core/search/rate_test.h"

using namespace qlora;
using namespace qlora::search;

namespace {

// Flat, then a slope around 1e-4 with its end at 1e-2, then up.
double loss_at(double rate) {
    const double x = std::log10(rate);
    return x > -2 ? 0.2 + (x + 2) * (x + 2) * 6 : 0.2 + 1.8 / (1 + std::exp(4 * (x + 4)));
}

train::Event pretend(const Sitting& sitting, Control& control, const train::Sink& sink) {
    train::Finished finished;
    for (std::int64_t step = 1; step <= sitting.recipe.train.max_steps && control.request() == Control::Request::none; ++step) {
        train::StepDone done;
        done.step = step;
        done.learning_rate = sitting.learning_rate(step - 1);
        done.loss = loss_at(done.learning_rate);
        sink(done);
    }
    finished.reason = control.request() == Control::Request::stop ? "stopped" : "completed";
    return finished;
}

recipe::Recipe some_recipe() {
    recipe::Recipe recipe;
    recipe.model = "m", recipe.data.train = "d.jsonl";
    return recipe;
}

}  // namespace

class RatesTest : public QObject {
    Q_OBJECT

  private slots:
    void the_rate_grows_evenly_on_its_logarithm_until_the_loss_breaks_away() {
        Control control;
        std::vector<RatePoint> points;
        const auto curve = test_rates(some_recipe(), {1e-7, 10, 161}, pretend, control, [](const train::Event&) {},
                                      [&](const RatePoint& point) { points.push_back(point); });
        QCOMPARE(curve.ending, std::string("diverged"));
        QVERIFY(curve.complete && curve.points.size() == points.size() && points.size() < 161);
        QCOMPARE(points[0].rate, 1e-7);
        for (std::size_t i = 1; i < points.size(); ++i) QVERIFY(std::abs(points[i].rate / points[i - 1].rate - std::pow(10, 0.05)) < 1e-9);
        // The true steepest slope is at 1e-4.
        QVERIFY2(curve.suggested > 5e-5 && curve.suggested < 2e-4, qPrintable(QString::number(curve.suggested)));
        QVERIFY(curve.tenth_of_lowest > 1e-4 && curve.tenth_of_lowest < 5e-3);
    }

    // Of a few steps, the last of which are a hundred times as high as the first: they must not hide the fall before them.
    void losses_that_break_away_do_not_hide_the_fall() {
        std::vector<RatePoint> points;
        for (int i = 0; i < 36; ++i) {
            const double rate = 1e-6 * std::pow(10, 6.0 * i / 39);
            points.push_back({rate, i < 30 ? 4.3 - 1.8 / (1 + std::exp(-3 * (std::log10(rate) + 4))) : 2.5 + 0.2 * std::pow(2.5, i - 29), 0});
        }
        const auto curve = judge(points);
        QVERIFY2(curve.suggested > 2e-5 && curve.suggested < 5e-4, qPrintable(QString::number(curve.suggested)));
        QVERIFY(curve.tenth_of_lowest < 1e-2);
        for (const RatePoint& point : curve.points) QVERIFY(point.smoothed < 4.4);
    }

    void a_calm_range_is_gone_through_whole() {
        Control control;
        const auto curve = test_rates(some_recipe(), {1e-7, 1e-3, 50}, pretend, control, [](const train::Event&) {}, [](const RatePoint&) {});
        QCOMPARE(curve.ending, std::string("completed"));
        QCOMPARE(curve.points.size(), std::size_t(50));
        QVERIFY(std::abs(curve.points.back().rate / 1e-3 - 1) < 1e-9);
    }

    void a_loss_that_never_falls_suggests_nothing() {
        std::vector<RatePoint> points;
        for (int i = 0; i < 30; ++i) points.push_back({1e-6 * std::pow(1.3, i), 1.0 + i * 0.01, 0});
        QCOMPARE(judge(points).suggested, 0.0);
        QVERIFY(to_json(judge(points))["suggested"].is_null());
    }

    void a_fall_within_the_noise_suggests_nothing() {
        RandomStream random(3, "noise");
        std::vector<RatePoint> points;
        for (int i = 0; i < 100; ++i) points.push_back({1e-6 * std::pow(1.1, i), 0.693 - 1e-5 * i + 0.02 * random.normal(), 0});
        QCOMPARE(judge(points).suggested, 0.0);
        for (int i = 50; i < 100; ++i) points[std::size_t(i)].loss -= 0.01 * (i - 50);
        QVERIFY(judge(points).suggested > 1e-4);
    }

    void the_user_can_stop_it() {
        Control control;
        control.stop();
        const auto curve = test_rates(
            some_recipe(), {}, [](const Sitting& sitting, Control& own, const train::Sink& sink) {
                while (own.request() == Control::Request::none) QTest::qWait(5);
                return pretend(sitting, own, sink);
            }, control, [](const train::Event&) {}, [](const RatePoint&) {});
        QVERIFY(!curve.complete);
        QCOMPARE(curve.ending, std::string("stopped"));
    }

    void what_the_run_says_of_its_failure_is_passed_on() {
        Control control;
        const auto fails = [](const Sitting&, Control&, const train::Sink&) -> train::Event { return train::Failed{"model.not_found", "no such model", "model", "", true}; };
        QVERIFY_THROWS_EXCEPTION(Error, test_rates(some_recipe(), {}, fails, control, [](const train::Event&) {}, [](const RatePoint&) {}));
        QVERIFY_THROWS_EXCEPTION(Error, test_rates(some_recipe(), {1, 1e-3, 50}, pretend, control, [](const train::Event&) {}, [](const RatePoint&) {}));
    }

    void the_curve_is_a_table_too() {
        const std::string csv = to_csv(judge({{1e-5, 2, 0}, {1e-4, 1, 0}}));
        QVERIFY(csv.starts_with("learning_rate,loss,smoothed\n1e-05,2.0,1.6"));
    }
};

QTEST_GUILESS_MAIN(RatesTest)
#include "rates_test.moc"
