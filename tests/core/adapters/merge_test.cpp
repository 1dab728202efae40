// An adapter merged into its base and taken out again: cases L3 to L5 and L9 of the reliability list.
#include "tests/torch_tests.h"

#include <cmath>

#include "core/adapters/lora.h"
#include "core/nn/load.h"

using namespace qlora;
using namespace qlora::adapters;
using torch::Tensor;

namespace {

nn::Model tiny(recipe::Precision precision) {
    Control control;
    return nn::load(nn::ModelFiles::open(golden("tiny_llama/biased")), {precision, {}}, control);
}
std::vector<std::int32_t> some_ids() { return {5, 9, 100, 33, 2, 401, 77, 12}; }
double difference(const Tensor& a, const Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

// Every tensor of the base, copied.
std::vector<Tensor> storage(const nn::Model& model) {
    std::vector<Tensor> all;
    auto add = [&](const quant::Weight& weight) {
        for (const auto& [name, tensor] : weight.storage()) all.push_back(tensor.clone());
    };
    model.for_each_linear([&](const nn::Linear& layer) { add(layer.weight); });
    add(model.embedding);
    return all;
}
bool equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
    return std::ranges::equal(a, b, [](const Tensor& x, const Tensor& y) { return torch::equal(x, y); });
}

}  // namespace

class MergeTest : public QObject {
    Q_OBJECT

  private slots:
    void adapters_of_peft_merge_and_come_out_again_data() {
        QTest::addColumn<QString>("name");
        QTest::addColumn<int>("precision");
        for (const char* name : {"dora", "dora_rslora", "patterns", "layers", "head", "embedding", "dora_whole_layer"})
            for (auto precision : {recipe::Precision::fp32, recipe::Precision::nf4, recipe::Precision::int8})
                QTest::addRow("%s, %s", name, std::string(recipe::name(precision)).c_str()) << name << static_cast<int>(precision);
    }
    void adapters_of_peft_merge_and_come_out_again() {
        QFETCH(QString, name);
        QFETCH(int, precision);
        auto model = tiny(static_cast<recipe::Precision>(precision));
        const Tensor base = model.logits(some_ids());
        const auto before = storage(model);
        auto lora = Lora::load(model, golden("peft_variants/") + name.toStdString());
        const Tensor tuned = model.logits(some_ids());
        QVERIFY(difference(base, tuned) > 1e-2);

        lora->merge(model);
        QVERIFY(lora->merged());
        const Tensor merged = model.logits(some_ids());
        QVERIFY2(difference(merged, tuned) < 1e-5, qPrintable(QString::number(difference(merged, tuned))));
        model.for_each_linear([&](const nn::Linear& layer) { QVERIFY(!layer.branch && !layer.trained); });
        lora->merge(model);  // L5: again is nothing
        QVERIFY(torch::equal(model.logits(some_ids()), merged));
        QVERIFY_THROWS_EXCEPTION(Error, lora->set_enabled(false));

        lora->unmerge(model);
        QVERIFY(!lora->merged());
        QVERIFY(torch::equal(model.logits(some_ids()), tuned));
        QVERIFY(equal(storage(model), before));
        lora->unmerge(model);
        lora->set_enabled(false);
        QVERIFY(torch::equal(model.logits(some_ids()), base));
        lora->set_enabled(true);

        // Control: what is merged is what the adapter holds now, not what it held before.
        {
            torch::NoGradGuard no_grad;
            lora->values().mul_(1.5);
        }
        lora->merge(model);
        QVERIFY(difference(model.logits(some_ids()), tuned) > 1e-3);
        lora->unmerge(model);
    }

    void an_adapter_merges_onto_what_training_saw() {
        // L9: onto the dequantized base; onto the weights as they were before quantization the outputs are others.
        const std::string adapter = golden("peft_variants/patterns");
        auto quantized = tiny(recipe::Precision::nf4), exact = tiny(recipe::Precision::fp32);
        auto lora = Lora::load(quantized, adapter), other = Lora::load(exact, adapter);
        const Tensor tuned = quantized.logits(some_ids());
        lora->merge(quantized);
        other->merge(exact);
        QVERIFY(difference(quantized.logits(some_ids()), tuned) < 1e-5);
        QVERIFY(difference(exact.logits(some_ids()), tuned) > 1e-3);
    }

    void numbers_that_are_not_finite_are_not_merged_data() {
        QTest::addColumn<float>("value");
        QTest::newRow("NaN") << std::nanf("");
        QTest::newRow("infinite") << INFINITY;
        QTest::newRow("too large together") << 3e38f;
    }
    void numbers_that_are_not_finite_are_not_merged() {
        QFETCH(float, value);
        auto model = tiny(recipe::Precision::nf4);
        auto lora = Lora::load(model, golden("peft_variants/patterns"));
        const Tensor tuned = model.logits(some_ids());
        const auto before = storage(model);
        const Tensor saved = lora->values().clone();
        torch::NoGradGuard no_grad;
        const auto& last = lora->layers().back();
        last.branch->a.detach().fill_(value);
        last.branch->b.detach().fill_(value);
        try {
            lora->merge(model);
            QFAIL("merged");
        } catch (const Error& error) {
            QCOMPARE(QString::fromStdString(error.code()), "adapter.not_finite");
            QVERIFY(error.message().find(last.module) != std::string::npos);
        }
        QVERIFY(!lora->merged());
        QVERIFY(equal(storage(model), before));
        lora->values().copy_(saved);
        QVERIFY(torch::equal(model.logits(some_ids()), tuned));
    }
};

QTEST_GUILESS_MAIN(MergeTest)
#include "merge_test.moc"
