// Every way to fine-tune on one tiny model: how it begins, that the base stays, files, caches, merging, quantization-aware training.
// The same trainings beside the peers: tests/interop/methods.py.
#include "tests/torch_tests.h"

#include <QTemporaryDir>

#include "core/adapters/attach.h"
#include "core/base/file.h"
#include "core/nn/load.h"
#include "tests/core/train/steps.h"

using namespace qlora;
using recipe::MethodKind;
using torch::Tensor;

namespace {

nn::Model tiny(const char* folder = "tiny_llama/biased", recipe::Precision precision = recipe::Precision::fp32) {
    Control control;
    return nn::load(nn::ModelFiles::open(golden(folder)), {precision, {}}, control);
}

std::vector<std::int32_t> some_ids() { return {5, 9, 100, 33, 2, 401, 77, 12}; }

recipe::Recipe recipe_of(MethodKind kind) {
    recipe::Recipe recipe;
    recipe.precision = recipe::Precision::fp32;
    recipe.method.kind = kind;
    recipe.method.rank = 4;
    recipe.method.virtual_tokens = 3;
    recipe.method.reduction_factor = 4;
    recipe.train.seed = 7;
    return recipe;
}

// So that everything has moved.
void two_steps(nn::Model& model, adapters::Adapter& adapter, double rate = 1e-2) {
    const Json batch = {{"input_ids", {some_ids()}}, {"labels", {some_ids()}}};
    tests::train_on(model, adapter, Json::array({batch, batch}), rate, 0, 1);
}

double difference(const Tensor& a, const Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

// Each method, and variants of it.
std::vector<std::pair<const char*, recipe::Recipe>> all_methods() {
    std::vector<std::pair<const char*, recipe::Recipe>> all;
    for (const auto& [name, kind] : {std::pair{"lora", MethodKind::lora}, {"full", MethodKind::full}, {"adapter", MethodKind::adapter},
                                     {"prompt", MethodKind::prompt_tuning}, {"prefix", MethodKind::prefix_tuning}, {"bitfit", MethodKind::bitfit}})
        all.emplace_back(name, recipe_of(kind));
    all.emplace_back("pissa", recipe_of(MethodKind::lora)).second.method.start = recipe::Start::pissa;
    auto& houlsby = all.emplace_back("houlsby, parallel", recipe_of(MethodKind::adapter)).second.method;
    houlsby.placement = recipe::Placement::houlsby;
    houlsby.parallel = true;
    all.emplace_back("frozen", recipe_of(MethodKind::full)).second.method.freeze = {"embeddings", "0", "norms"};
    return all;
}

}  // namespace

class MethodsTest : public QObject {
    Q_OBJECT

  private slots:
    void what_is_trained_leaves_the_base_alone_and_loads_back_data() {
        QTest::addColumn<int>("number");
        int number = 0;
        for (const auto& [name, recipe] : all_methods()) QTest::newRow(name) << number++;
    }
    void what_is_trained_leaves_the_base_alone_and_loads_back() {
        QFETCH(int, number);
        const recipe::Recipe recipe = all_methods().at(static_cast<std::size_t>(number)).second;
        const bool tokens = recipe.method.kind == MethodKind::prompt_tuning || recipe.method.kind == MethodKind::prefix_tuning;
        auto model = tiny();
        const Tensor base = model.logits(some_ids());
        auto adapter = adapters::attach(model, recipe, {});
        QVERIFY(adapter->parameters() > 0);
        if (!tokens) QVERIFY(difference(model.logits(some_ids()), base) < 1e-5);  // it begins as the base
        two_steps(model, *adapter);
        const Tensor tuned = model.logits(some_ids());
        QVERIFY(difference(tuned, base) > 1e-4);
        adapter->set_enabled(false);
        QVERIFY(torch::equal(model.logits(some_ids()), base));
        adapter->set_enabled(true);
        QVERIFY(torch::equal(model.logits(some_ids()), tuned));

        // Token by token it is the same.
        nn::KeyValueCache cache;
        const auto ids = some_ids();
        model.next_logits({ids.begin(), ids.begin() + 3}, cache);
        Tensor last;
        for (std::size_t i = 3; i < ids.size(); ++i) last = model.next_logits({ids[i]}, cache);
        QVERIFY(difference(last, tuned[-1]) < 1e-4);

        QTemporaryDir folder;
        adapter->save(folder.path().toStdString());
        adapter->restore(folder.path().toStdString());
        QVERIFY(torch::equal(model.logits(some_ids()), tuned));
        QVERIFY(adapters::kind_of(folder.path().toStdString()) == recipe.method.kind);
        auto other = tiny();
        const auto loaded = adapters::load(other, folder.path().toStdString());
        QVERIFY(difference(other.logits(some_ids()), tuned) < 1e-5);
        const bool added = tokens || recipe.method.kind == MethodKind::adapter;
        auto wrong = tiny("tiny_llama/llama3");
        if (!added) QVERIFY_THROWS_EXCEPTION(Error, adapters::load(wrong, folder.path().toStdString()));

        if (added) {
            QCOMPARE(code_of([&] { adapter->merge(model); }), std::string("adapter.merge"));
            return;
        }
        adapter->merge(model);
        QVERIFY(difference(model.logits(some_ids()), tuned) < 1e-5);
        adapter->unmerge(model);
        QVERIFY(torch::equal(model.logits(some_ids()), tuned));
    }

    void frozen_tensors_take_no_part() {
        auto model = tiny();
        auto adapter = adapters::attach(model, all_methods().back().second, {});
        for (const auto& named : adapter->tensors()) {
            QVERIFY2(named.name.find("layers.0.") == std::string::npos, named.name.c_str());
            QVERIFY2(named.name.find("norm") == std::string::npos && named.name.find("embed") == std::string::npos, named.name.c_str());
        }
        auto recipe = recipe_of(MethodKind::full);
        recipe.method.freeze = {"q_proj", "nothing_like_it"};
        auto again = tiny();
        QCOMPARE(code_of([&] { adapters::attach(again, recipe, {}); }), std::string("adapter.freeze"));
        recipe.method.freeze = {"model", "lm_head"};
        QCOMPARE(code_of([&] { adapters::attach(again, recipe, {}); }), std::string("adapter.nothing"));
        auto without = tiny("tiny_llama/plain");
        QCOMPARE(code_of([&] { adapters::attach(without, recipe_of(MethodKind::bitfit), {}); }), std::string("adapter.nothing"));
    }

    // A prefix, and a prompt, that begin as a text are that text in front of the row.
    void virtual_tokens_begin_as_a_text() {
        const std::vector<std::int32_t> text{11, 7, 300};
        auto whole = text;
        for (const auto id : some_ids()) whole.push_back(id);
        for (const auto kind : {MethodKind::prompt_tuning, MethodKind::prefix_tuning}) {
            auto model = tiny();
            const Tensor with_text = model.logits(whole).slice(0, 3);
            adapters::Beginning beginning;
            beginning.text_ids = text;
            const auto adapter = adapters::attach(model, recipe_of(kind), beginning);
            QVERIFY(difference(model.logits(some_ids()), with_text) < 1e-4);
        }
    }

    void loftq_begins_nearer_to_the_weights_before_quantization() {
        const auto exact = nn::original_matrices(golden("tiny_llama/biased"));
        auto off = [&](recipe::Start start) {
            auto model = tiny("tiny_llama/biased", recipe::Precision::nf4);
            auto recipe = recipe_of(MethodKind::lora);
            recipe.precision = recipe::Precision::nf4;
            recipe.method.start = start;
            adapters::Beginning beginning;
            beginning.original = exact;
            const auto adapter = adapters::attach(model, recipe, beginning);
            adapter->merge(model);
            double lost = 0;
            model.for_each_linear([&](const nn::Linear& layer) {
                if (&layer != &model.head) lost += (layer.weight.dequantized() - exact(layer.name)).square().sum().item<double>();
            });
            return lost;
        };
        const double plain = off(recipe::Start::unchanged), loftq = off(recipe::Start::loftq);
        QVERIFY2(loftq < 0.9 * plain, qPrintable(QString("%1 %2").arg(loftq).arg(plain)));
    }

    // What was trained is what the quantized model computes.
    void quantization_aware_training_computes_what_is_exported_data() {
        QTest::addColumn<QString>("precision");
        QTest::addColumn<int>("block");
        QTest::addColumn<bool>("full");
        for (const char* precision : {"int8", "int4", "int3", "nf4"})
            for (const int block : {0, 32})
                for (const bool full : {false, true}) QTest::addRow("%s, %d, %d", precision, block, full) << precision << block << full;
    }
    void quantization_aware_training_computes_what_is_exported() {
        QFETCH(QString, precision);
        QFETCH(int, block);
        QFETCH(bool, full);
        auto model = tiny();
        const Tensor base = model.logits(some_ids());
        auto recipe = recipe_of(full ? MethodKind::full : MethodKind::lora);
        recipe.qat.precision = precision.toStdString();
        recipe.qat.block = block;
        auto adapter = adapters::attach(model, recipe, {});
        adapters::quantize_aware(model, *adapter, recipe.qat, false);
        QVERIFY(difference(model.logits(some_ids()), base) < 1e-6);
        adapter->set_quantizing(true);
        QVERIFY(difference(model.logits(some_ids()), base) > 1e-4);
        two_steps(model, *adapter);
        const Tensor trained = model.logits(some_ids());
        adapter->set_enabled(false);
        QVERIFY(torch::equal(model.logits(some_ids()), base));
        adapter->set_enabled(true);

        adapter->merge(model);
        const auto kind = precision == "int8" ? recipe::Precision::int8 : precision == "int4" ? recipe::Precision::int4
                          : precision == "int3" ? recipe::Precision::int3 : recipe::Precision::nf4;
        model.for_each_linear([&](nn::Linear& layer) {
            if (&layer == &model.head) return;
            layer.quantizer = nullptr;
            layer.weight = quant::Weight::quantized(layer.weight.dequantized(), kind, {block, false});
        });
        QVERIFY(difference(model.logits(some_ids()), trained) < 1e-5);
    }

    void a_quantized_base_is_not_trained_to_be_quantized() {
        auto model = tiny("tiny_llama/biased", recipe::Precision::nf4);
        auto recipe = recipe_of(MethodKind::lora);
        recipe.qat.precision = "int4";
        auto adapter = adapters::attach(model, recipe, {});
        QCOMPARE(code_of([&] { adapters::quantize_aware(model, *adapter, recipe.qat, true); }), std::string("qat.base"));
    }

    // In validation, each with its reason.
    void combinations_that_make_no_sense_are_refused() {
        auto base = recipe_of(MethodKind::lora);
        base.model = "model";
        base.data.train = "rows.jsonl";
        QVERIFY(recipe::validate(base).empty());
        auto refused = [&](const char* field, auto change) {
            auto recipe = base;
            change(recipe);
            const auto problems = recipe::validate(recipe);
            return problems.size() == 1 && problems[0].field == field && !problems[0].hint.empty();
        };
        using recipe::Precision;
        QVERIFY(refused("method.dora", [](auto& r) { r.method.kind = MethodKind::full, r.method.dora = true; }));
        QVERIFY(refused("method.rslora", [](auto& r) { r.method.kind = MethodKind::adapter, r.method.rslora = true; }));
        QVERIFY(refused("method.lora_plus_ratio", [](auto& r) { r.method.kind = MethodKind::bitfit, r.method.lora_plus_ratio = 8; }));
        QVERIFY(refused("method.start", [](auto& r) { r.method.kind = MethodKind::prompt_tuning, r.method.start = recipe::Start::pissa; }));
        QVERIFY(refused("method.freeze", [](auto& r) { r.method.freeze = {"head"}; }));
        QVERIFY(refused("precision", [](auto& r) { r.method.kind = MethodKind::full, r.precision = Precision::nf4; }));
        QVERIFY(refused("method.start", [](auto& r) { r.method.start = recipe::Start::loftq; }));
        QVERIFY(refused("method.start", [](auto& r) { r.method.start = recipe::Start::pissa, r.method.dora = true; }));
        QVERIFY(refused("method.start", [](auto& r) { r.method.start = recipe::Start::pissa, r.method.adapter = "somewhere"; }));
        QVERIFY(refused("method.kind", [](auto& r) { r.method.kind = MethodKind::prefix_tuning, r.task = recipe::Task::seq2seq; }));
        QVERIFY(refused("qat.precision", [](auto& r) { r.precision = Precision::nf4, r.qat.precision = "int4"; }));
        QVERIFY(refused("qat.precision", [](auto& r) { r.method.kind = MethodKind::prompt_tuning, r.qat.precision = "int4"; }));
        QVERIFY(refused("qat.precision", [](auto& r) { r.method.dora = true, r.qat.precision = "int4"; }));
        QVERIFY(refused("method.dropout", [](auto& r) { r.method.dropout = 0.1, r.qat.precision = "int4"; }));
    }
};

QTEST_GUILESS_MAIN(MethodsTest)
#include "methods_test.moc"
