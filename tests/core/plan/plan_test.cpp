#include "tests/torch_tests.h"

#include <algorithm>

#include "core/nn/load.h"
#include "core/plan/plan.h"

using namespace qlora;
using namespace qlora::plan;

class PlanTest : public QObject {
    Q_OBJECT

    recipe::Recipe recipe_;
    nn::ModelInfo model_;
    const DataFacts data_{400, 40, 110, 65, 160, 3};

    Plan plan(const std::function<void(recipe::Recipe&)>& change = [](auto&) {}) const {
        recipe::Recipe recipe = recipe_;
        change(recipe);
        return make_plan(recipe, model_, data_, std::int64_t{24} << 30, {.fp32 = 1e11});
    }

  private slots:
    void initTestCase() {
        recipe_.model = golden("tiny_llama/plain");
        model_ = nn::inspect(recipe_.model);
    }

    void inspection_tells_the_models_shape() {
        QCOMPARE(model_.layers, 2);
        QCOMPARE(model_.head_dim, 16);
        QCOMPARE(model_.linears.size(), 14u);
        QVERIFY(model_.chat_template);
        QVERIFY(model_.tokenizer.find("BPE") != std::string::npos);
    }

    void weights_are_as_large_as_those_that_are_loaded_data() {
        QTest::addColumn<int>("precision");
        for (auto p : {recipe::Precision::fp32, recipe::Precision::bf16, recipe::Precision::nf4, recipe::Precision::int8, recipe::Precision::native})
            QTest::newRow(std::string(recipe::name(p)).c_str()) << int(p);
    }
    void weights_are_as_large_as_those_that_are_loaded() {
        QFETCH(int, precision);
        Control control;
        const auto loaded = nn::load(nn::ModelFiles::open(recipe_.model), {static_cast<recipe::Precision>(precision), {}}, control);
        const double planned = static_cast<double>(plan([&](auto& r) { r.precision = static_cast<recipe::Precision>(precision); }).bytes[MemoryTag::weights]);
        const double real = static_cast<double>(loaded.weight_bytes());
        QVERIFY2(std::abs(planned - real) < 0.05 * real, qPrintable(QString("%1 planned, %2 loaded").arg(planned).arg(real)));
    }

    void weights_quantized_elsewhere_are_planned_as_stored_data() {
        QTest::addColumn<QString>("model");
        QTest::addColumn<int>("precision");
        using recipe::Precision;
        for (auto [model, own] : {std::pair{"nf4", Precision::nf4}, {"nf4_double_32", Precision::nf4}, {"nf4_head", Precision::nf4},
                                  {"fp4_256", Precision::fp4}, {"int8", Precision::int8}})
            for (auto precision : {own, Precision::native, Precision::int4, Precision::fp32})
                QTest::addRow("%s as %s", model, std::string(recipe::name(precision)).c_str()) << model << int(precision);
    }
    void weights_quantized_elsewhere_are_planned_as_stored() {
        QFETCH(QString, model);
        QFETCH(int, precision);
        recipe::Recipe recipe = recipe_;
        recipe.model = golden("bitsandbytes/") + model.toStdString();
        recipe.precision = static_cast<recipe::Precision>(precision);
        const nn::ModelInfo info = nn::inspect(recipe.model);
        Control control;
        const auto loaded = nn::load(nn::ModelFiles::open(recipe.model), {recipe.precision, {}}, control);
        const Plan plan = make_plan(recipe, info, data_, std::int64_t{24} << 30, {.fp32 = 1e11});
        const double planned = static_cast<double>(plan.bytes[MemoryTag::weights]), real = static_cast<double>(loaded.weight_bytes());
        QVERIFY2(std::abs(planned - real) < 0.05 * real, qPrintable(QString("%1 planned, %2 loaded").arg(planned).arg(real)));
        const bool said = std::any_of(plan.notices.begin(), plan.notices.end(), [](auto& n) { return n.find("bitsandbytes") != std::string::npos; });
        QCOMPARE(said, recipe.precision == recipe::Precision::int4 || recipe.precision == recipe::Precision::fp32);
    }

    void every_control_moves_the_plan_the_right_way() {
        const Plan base = plan();
        QVERIFY(plan([](auto& r) { r.method.rank = 32; }).bytes[MemoryTag::optimizer] == 2 * base.bytes[MemoryTag::optimizer]);
        QVERIFY(plan([](auto& r) { r.train.optimizer = recipe::Optimizer::adamw_8bit; }).bytes[MemoryTag::optimizer] < 0.26 * base.bytes[MemoryTag::optimizer]);
        QCOMPARE(2 * plan([](auto& r) { r.train.optimizer = recipe::Optimizer::lion; }).bytes[MemoryTag::optimizer], base.bytes[MemoryTag::optimizer]);
        QCOMPARE(plan([](auto& r) {
                     r.train.optimizer = recipe::Optimizer::adafactor;
                     r.method.target_modules = {"q_proj"};
                 }).bytes[MemoryTag::optimizer], std::int64_t{4} * 2 * (2 * 16 + 32 + 64));
        QCOMPARE(plan([](auto& r) { r.data.augment.copies = 2; }).steps, 3 * base.steps);
        QVERIFY(plan([](auto& r) { r.train.batch_size = 16; }).bytes[MemoryTag::activations] > 1.6 * base.bytes[MemoryTag::activations]);
        QVERIFY(plan([](auto& r) { r.train.gradient_checkpointing = true; }).bytes[MemoryTag::activations] < base.bytes[MemoryTag::activations]);
        QVERIFY(plan([](auto& r) { r.train.gradient_checkpointing = true; }).step_seconds > base.step_seconds);
        QVERIFY(plan([](auto& r) { r.precision = recipe::Precision::fp32; }).bytes[MemoryTag::weights] > base.bytes[MemoryTag::weights]);
        QCOMPARE(base.steps, 150);
        QCOMPARE(plan([](auto& r) { r.train.accumulate = 3; }).steps, 51);
        QCOMPARE(plan([](auto& r) { r.train.max_steps = 7; }).steps, 7);
        QCOMPARE(plan([](auto& r) { r.method.target_modules = {"q_proj"}; }).trainable_parameters, 2 * 16 * (32 + 64));
        // bf16, where the machine multiplies it: faster, and half of what is kept.
        const GemmRates rates{1e11, 2e11};
        const Plan wide = make_plan(recipe_, model_, data_, 0, rates);
        recipe::Recipe exact = recipe_;
        exact.compute = "fp32";
        QVERIFY(wide.bytes[MemoryTag::activations] < 0.8 * base.bytes[MemoryTag::activations]);
        QVERIFY(wide.step_seconds < 0.7 * base.step_seconds);
        QCOMPARE(make_plan(exact, model_, data_, 0, rates).bytes, base.bytes);
        QVERIFY(base.fits);
        QVERIFY(!make_plan(recipe_, model_, data_, 1 << 20, {.fp32 = 1e11}).fits);
    }
};

QTEST_GUILESS_MAIN(PlanTest)
#include "plan_test.moc"
