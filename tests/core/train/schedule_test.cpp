#include "tests/torch_tests.h"

#include "core/base/json.h"
#include "core/train/adamw.h"
#include "core/train/schedule.h"

using namespace qlora;
using namespace qlora::train;

namespace {

Json golden_numbers() { return read_json_file(QLORA_SOURCE_DIR "/tests/golden/optimizers.json"); }

}  // namespace

class ScheduleTest : public QObject {
    Q_OBJECT

  private slots:
    // Values of transformers' get_scheduler(name, lr=1, num_warmup_steps=2, num_training_steps=10).
    void schedules_follow_transformers_data() {
        QTest::addColumn<int>("schedule");
        QTest::addColumn<QVector<double>>("expected");
        using S = recipe::Schedule;
        QTest::newRow("linear") << int(S::linear) << QVector<double>{0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125};
        QTest::newRow("constant") << int(S::constant) << QVector<double>{0, 0.5, 1, 1, 1, 1, 1, 1, 1, 1};
        QTest::newRow("cosine") << int(S::cosine)
                                << QVector<double>{0, 0.5, 1, 0.9619397662556434, 0.8535533905932737, 0.6913417161825449, 0.5,
                                                   0.30865828381745514, 0.14644660940672627, 0.03806023374435663};
    }
    void schedules_follow_transformers() {
        QFETCH(int, schedule);
        QFETCH(QVector<double>, expected);
        recipe::Train options;
        options.learning_rate = 1;
        options.schedule = static_cast<recipe::Schedule>(schedule);
        options.warmup = 2;
        LearningRate rate(options, 10);
        for (int i = 0; i < 10; ++i) QVERIFY(std::abs(rate.at(i) - expected[i]) < 1e-12);
        options.warmup = 0.15;  // a fraction rounds up: 2 of 10
        QCOMPARE(LearningRate(options, 10).warmup_steps(), 2);
    }

    void others_follow_transformers_data() {
        QTest::addColumn<int>("schedule");
        using S = recipe::Schedule;
        QTest::newRow("cosine_with_restarts") << int(S::cosine_with_restarts);
        QTest::newRow("inverse_sqrt") << int(S::inverse_sqrt);
        QTest::newRow("polynomial") << int(S::polynomial);
    }
    void others_follow_transformers() {
        QFETCH(int, schedule);
        recipe::Train options;
        options.learning_rate = 0.5;
        options.schedule = static_cast<recipe::Schedule>(schedule);
        options.schedule_cycles = 3;
        options.schedule_power = 2;
        options.warmup = 3;
        const LearningRate rate(options, 10);
        const auto expected = golden_numbers()["schedules"][QTest::currentDataTag()].get<std::vector<double>>();
        QCOMPARE(expected.size(), 12u);
        for (std::size_t i = 0; i < expected.size(); ++i)
            QVERIFY2(std::abs(rate.at(static_cast<std::int64_t>(i)) - expected[i]) < 1e-12, qPrintable(QString("%1: %2").arg(i).arg(rate.at(static_cast<std::int64_t>(i)))));
    }

    void optimizers_follow_their_references_data() {
        QTest::addColumn<int>("optimizer");
        using O = recipe::Optimizer;
        QTest::newRow("sgd") << int(O::sgd);
        QTest::newRow("adafactor") << int(O::adafactor);
        QTest::newRow("lion") << int(O::lion);
    }
    void optimizers_follow_their_references() {
        QFETCH(int, optimizer);
        recipe::Train options;
        options.optimizer = static_cast<recipe::Optimizer>(optimizer);
        options.weight_decay = 0.05;
        if (options.optimizer == recipe::Optimizer::lion) options.beta2 = 0.99;
        const auto numbers = golden_numbers();
        torch::Tensor values = torch::tensor(numbers["start"].get<std::vector<float>>());
        auto rule = make_optimizer({{6, 4}, {5, 1}}, options);
        for (const auto& gradient : numbers["gradients"]) rule->step(values, 2 * torch::tensor(gradient.get<std::vector<float>>()), 0.1, 0.5);
        const torch::Tensor expected = torch::tensor(numbers["optimizers"][QTest::currentDataTag()].get<std::vector<float>>());
        QVERIFY2((values - expected).abs().max().item<double>() < 2e-6, qPrintable(QString::number((values - expected).abs().max().item<double>())));
        QCOMPARE(rule->updates(), 12);
    }

    // Of two parts one learns at four times the rate and does not decay: as if each had an optimizer of its own.
    void parts_have_rates_and_decay_of_their_own() {
        torch::manual_seed(2);
        recipe::Train options;
        options.weight_decay = 0.1;
        torch::Tensor both = torch::randn({30}), first = both.narrow(0, 0, 10).clone(), second = both.narrow(0, 10, 20).clone();
        auto optimizer = make_optimizer({{5, 2}, {4, 5, 4.0, false}}, options);
        AdamW one(10, options);
        options.weight_decay = 0;
        AdamW other(20, options);
        for (int i = 0; i < 5; ++i) {
            const torch::Tensor gradient = torch::randn({30});
            optimizer->step(both, gradient, 0.01);
            one.step(first, gradient.narrow(0, 0, 10), 0.01);
            other.step(second, gradient.narrow(0, 10, 20), 0.04);
        }
        QVERIFY(torch::equal(both, torch::cat({first, second})));
        QCOMPARE(optimizer->state().size(), 4u);
        QCOMPARE(optimizer->state()[2].name, std::string("exp_avg.1"));
    }

    void adamw_equals_pytorchs() {
        torch::manual_seed(1);
        torch::Tensor ours = torch::randn({50}), theirs = ours.clone().requires_grad_(true);
        recipe::Train options;
        options.weight_decay = 0.1;
        AdamW optimizer(50, options);
        torch::optim::AdamW reference({theirs}, torch::optim::AdamWOptions(0.01).weight_decay(0.1));
        for (int i = 0; i < 10; ++i) {
            torch::Tensor gradient = torch::randn({50});
            theirs.mutable_grad() = gradient.clone();
            optimizer.step(ours, gradient, 0.01);
            reference.step();
        }
        QVERIFY((ours - theirs.detach()).abs().max().item<double>() < 1e-6);
    }

    // Moments in 8 bit: near those in fp32 on a problem that both solve, in a quarter of the memory.
    void adamw_in_8_bit_follows_adamw() {
        torch::manual_seed(4);
        constexpr std::int64_t n = 70'001;  // more than one part, and a last block that is not whole
        const torch::Tensor wanted = torch::randn({n});
        recipe::Train options;
        torch::Tensor full = torch::zeros({n}), small = torch::zeros({n});
        AdamW reference(n, options);
        options.optimizer = recipe::Optimizer::adamw_8bit;
        AdamW optimizer(n, options);
        for (int i = 0; i < 200; ++i) {
            const torch::Tensor noise = 0.1 * torch::randn({n});
            reference.step(full, full - wanted + noise, 0.02);
            optimizer.step(small, small - wanted + noise, 0.02);
        }
        const auto distance = [&](const torch::Tensor& x) { return (x - wanted).square().mean().sqrt().item<double>(); };
        QVERIFY2(distance(small) < 1.2 * distance(full) + 0.01, qPrintable(QString("%1 against %2").arg(distance(small)).arg(distance(full))));
        QVERIFY(distance(small) < 0.1);
        std::size_t bytes = 0, full_bytes = 0;
        for (const auto& [name, tensor] : optimizer.state()) bytes += tensor.nbytes();
        for (const auto& [name, tensor] : reference.state()) full_bytes += tensor.nbytes();
        QVERIFY(bytes < 0.26 * static_cast<double>(full_bytes));
    }

    void clipping_equals_pytorchs() {
        const torch::Tensor g = torch::tensor({3.0f, 4.0f});
        QCOMPARE(clip(g, 1.0).norm, 5.0);
        QVERIFY(std::abs(clip(g, 1.0).scale - 0.2) < 1e-6);
        QCOMPARE(clip(g, 6.0).scale, 1.0);
        QCOMPARE(clip(g, 0.0).scale, 1.0);
        const torch::Tensor large = torch::randn({300'000});
        QVERIFY(std::abs(clip(large, 1.0).norm / large.to(torch::kFloat64).norm().item<double>() - 1) < 1e-6);
        const torch::Tensor bad = torch::tensor({NAN, 1.0f});
        QVERIFY(std::isnan(clip(bad, 1.0).norm));
        QCOMPARE(clip(bad, 1.0).scale, 1.0);
    }
};

QTEST_GUILESS_MAIN(ScheduleTest)
#include "schedule_test.moc"
