// DoRA, ranks and alphas by pattern, and modules trained whole, against PEFT (tests/golden/peft_variants.py).
#include "tests/torch_tests.h"

#include "core/adapters/lora.h"
#include "core/base/file.h"
#include "core/formats/safetensors.h"
#include "core/memory/meters.h"
#include "core/nn/load.h"
#include "tests/core/train/steps.h"

using namespace qlora;
using namespace qlora::adapters;
using torch::Tensor;

namespace {

nn::Model tiny(recipe::Precision precision = recipe::Precision::fp32, const char* name = "tiny_llama/biased") {
    Control control;
    return nn::load(nn::ModelFiles::open(golden(name)), {precision, {}}, control);
}

struct Expected {
    explicit Expected(const std::string& name) : file(golden("peft_variants/") + name + "/expected.safetensors") {}
    Tensor tensor(const std::string& name, torch::ScalarType type = torch::kFloat32) const {
        const auto& view = file.at(name);
        return torch::from_blob(const_cast<std::byte*>(view.data.data()), view.shape, type).clone();
    }
    std::vector<std::int32_t> ids() const {
        const Tensor ids = tensor("ids", torch::kInt64);
        return {ids.data_ptr<std::int64_t>(), ids.data_ptr<std::int64_t>() + ids.numel()};
    }
    formats::SafetensorsFile file;
};

double largest_difference(const Tensor& a, const Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

// The mean loss over the ids after the first; gradients are accumulated.
double loss_of(nn::Model& model, const std::vector<std::int32_t>& ids) {
    const auto batch = tests::to_batch(Json{{"input_ids", {ids}}, {"labels", {ids}}}, model.config);
    Tensor loss = model.loss_sum(batch) / static_cast<double>(batch.trained_tokens());
    loss.backward();
    return loss.item<double>();
}

std::vector<std::int32_t> some_ids() { return {5, 9, 100, 33, 2, 401, 77, 12}; }

LoraConfig dora(std::vector<std::string> targets, std::vector<std::string> saved = {}) {
    LoraConfig config{.rank = 4, .alpha = 8, .dora = true, .target_modules = std::move(targets)};
    config.target_options.saved = std::move(saved);
    return config;
}

}  // namespace

class VariantsTest : public QObject {
    Q_OBJECT

  private slots:
    void an_adapter_of_peft_computes_what_peft_computes_data() {
        QTest::addColumn<QString>("name");
        for (const char* name : {"dora", "dora_rslora", "patterns", "layers", "head", "embedding", "dora_whole_layer"})
            QTest::newRow(name) << name;
    }
    void an_adapter_of_peft_computes_what_peft_computes() {
        QFETCH(QString, name);
        const Expected expected(name.toStdString());
        auto model = tiny();
        const Tensor base = model.logits(expected.ids());
        auto lora = Lora::load(model, golden("peft_variants/") + name.toStdString());
        const Tensor logits = model.logits(expected.ids());
        QVERIFY2(largest_difference(logits, expected.tensor("logits")) < 2e-4, qPrintable(QString::number(largest_difference(logits, expected.tensor("logits")))));
        QVERIFY(largest_difference(base, expected.tensor("logits")) > 1e-2);
        lora->gradients().zero_();
        const double loss = loss_of(model, expected.ids());
        QVERIFY(std::abs(loss - expected.tensor("loss").item<double>()) < 1e-4);
        std::size_t gradients = 0;
        for (const auto& view : expected.file.tensors()) gradients += view.name.starts_with("gradient.");
        QCOMPARE(lora->tensors().size(), gradients);
        for (const auto& [key, tensor, transposed] : lora->tensors()) {
            QVERIFY(!transposed);  // LLaMA has no Conv1D
            const Tensor wanted = expected.tensor("gradient." + key);
            const double off = largest_difference(tensor.grad(), wanted);
            QVERIFY2(off < 1e-3, qPrintable(QString("%1: %2").arg(QString::fromStdString(key)).arg(off)));
            QVERIFY(wanted.abs().max().item<double>() > 0);
        }
        lora->set_enabled(false);
        QVERIFY(torch::equal(model.logits(expected.ids()), base));
        lora->set_enabled(true);
        QVERIFY(torch::equal(model.logits(expected.ids()), logits));
    }

    void what_is_saved_loads_back_to_the_bit_data() { an_adapter_of_peft_computes_what_peft_computes_data(); }
    void what_is_saved_loads_back_to_the_bit() {
        QFETCH(QString, name);
        QTemporaryDir folder;
        auto model = tiny();
        auto lora = Lora::load(model, golden("peft_variants/") + name.toStdString());
        const Tensor logits = model.logits(some_ids());
        lora->save(folder.path().toStdString());
        auto again = tiny();
        auto loaded = Lora::load(again, folder.path().toStdString());
        QVERIFY(torch::equal(loaded->values(), lora->values()));
        QVERIFY(torch::equal(again.logits(some_ids()), logits));
        // And every tensor stands under the name PEFT gave it.
        const formats::SafetensorsFile peft(golden("peft_variants/") + name.toStdString() + "/adapter_model.safetensors");
        const formats::SafetensorsFile ours(folder.path().toStdString() + "/adapter_model.safetensors");
        QCOMPARE(ours.tensors().size(), peft.tensors().size());
        for (const auto& view : peft.tensors()) {
            QVERIFY2(ours.at(view.name).shape == view.shape, view.name.c_str());
            QVERIFY2(std::ranges::equal(ours.at(view.name).data, view.data), view.name.c_str());
        }
    }

    void a_fresh_adapter_changes_nothing_data() {
        QTest::addColumn<int>("precision");
        QTest::newRow("fp32") << static_cast<int>(recipe::Precision::fp32);
        QTest::newRow("nf4") << static_cast<int>(recipe::Precision::nf4);
        QTest::newRow("int8") << static_cast<int>(recipe::Precision::int8);
    }
    void a_fresh_adapter_changes_nothing() {
        QFETCH(int, precision);
        auto model = tiny(static_cast<recipe::Precision>(precision));
        const Tensor base = model.logits(some_ids());
        auto lora = Lora::attach(model, dora({"all-linear"}, {"lm_head", "embed_tokens"}), 1);
        QVERIFY(largest_difference(model.logits(some_ids()), base) < 1e-5);
        lora->set_enabled(false);
        QVERIFY(torch::equal(model.logits(some_ids()), base));
        lora->set_enabled(true);
        lora->values().add_(0.01 * torch::randn_like(lora->values()));
        QVERIFY(largest_difference(model.logits(some_ids()), base) > 1e-3);
        lora->set_enabled(false);
        QVERIFY(torch::equal(model.logits(some_ids()), base));
    }

    void one_step_changes_what_is_trained_and_nothing_else() {
        auto model = tiny(recipe::Precision::nf4);
        std::vector<Tensor> before;
        auto storage = [&] {
            std::vector<Tensor> all;
            model.for_each_linear([&](const nn::Linear& layer) {
                for (const auto& [name, tensor] : layer.weight.storage()) all.push_back(tensor.clone());
                if (layer.bias.defined()) all.push_back(layer.bias.base.clone());
            });
            for (const auto& [name, tensor] : model.embedding.storage()) all.push_back(tensor.clone());
            return all;
        };
        before = storage();
        auto lora = Lora::attach(model, dora({"q_proj", "down_proj"}, {"lm_head", "embed_tokens"}), 1);
        const Tensor start = lora->values().clone();
        const Json batches = {{{"input_ids", {some_ids()}}, {"labels", {some_ids()}}}, {{"input_ids", {some_ids()}}, {"labels", {some_ids()}}}};
        const auto losses = tests::train_on(model, *lora, batches, 1e-2, 0, 1);
        QVERIFY(losses[1] < losses[0]);
        QVERIFY(!torch::equal(start, lora->values()));
        const auto after = storage();
        QCOMPARE(after.size(), before.size());
        for (std::size_t i = 0; i < after.size(); ++i) QVERIFY(torch::equal(after[i], before[i]));
    }

    void checkpointing_activations_changes_no_bit() {
        auto run = [&](bool checkpointing) {
            auto model = tiny(recipe::Precision::nf4);
            model.gradient_checkpointing = checkpointing;
            LoraConfig config = dora({"all-linear"}, {"lm_head", "embed_tokens"});
            config.dropout = 0.1;
            auto lora = Lora::attach(model, config, 1);
            const auto batch = tests::to_batch(Json{{"input_ids", {some_ids()}}, {"labels", {some_ids()}}}, model.config);
            model.loss_sum(batch, {true, 3, 4}).backward();
            return lora->gradients().clone();
        };
        QVERIFY(torch::equal(run(true), run(false)));
    }

    void a_rank_that_the_file_does_not_have_is_refused_before_it_is_allocated() {
        QTemporaryDir folder;
        auto model = tiny();
        auto lora = Lora::attach(model, {.rank = 4, .alpha = 8}, 1);
        lora->save(folder.path().toStdString());
        const std::string path = folder.path().toStdString() + "/adapter_config.json";
        Json config = read_json_file(path);
        for (const auto& [key, value] : {std::pair{"r", Json(65536)}, {"rank_pattern", Json{{"q_proj", 65536}}}}) {
            Json edited = config;
            edited[key] = value;
            write_atomically(path, edited.dump());
            auto other = tiny();
            memory::reset_peak();
            QCOMPARE(code_of([&] { Lora::load(other, folder.path().toStdString()); }), "tensor.shape");
            QVERIFY(memory::read().peak_bytes < 8'000'000);
        }
    }

    void what_cannot_be_trained_whole_is_named() {
        auto model = tiny();
        for (const char* module : {"input_layernorm", "nothing"}) {
            LoraConfig config{.rank = 2, .alpha = 4};
            config.target_options.saved = {module};
            QCOMPARE(code_of([&] { Lora::attach(model, config, 1); }), "adapter.modules_to_save");
        }
        QCOMPARE(code_of([&] { Lora::attach(model, dora({"lm_head"}), 1); }), "adapter.targets");
        LoraConfig all{.rank = 2, .alpha = 4, .target_modules = {"q_proj"}};
        all.target_options.saved = {"q_proj"};
        QCOMPARE(code_of([&] { Lora::attach(model, all, 1); }), "adapter.targets");
        for (const char* expression : {"([", "(?<n"}) {
            LoraConfig bad{.rank = 2, .alpha = 4};
            bad.rank_pattern = {{expression, 3}};
            QCOMPARE(code_of([&] { auto other = tiny(); Lora::attach(other, bad, 1); }), "adapter.pattern");
        }
    }

    void the_first_pattern_that_fits_gives_rank_and_alpha() {
        auto model = tiny();
        LoraConfig config{.rank = 4, .alpha = 8, .target_modules = {"q_proj", "up_proj"}};
        config.rank_pattern = {{"layers\\.0\\..*", 2}, {"q_proj", 8}};
        config.alpha_pattern = {{"up_proj", 3}};
        auto lora = Lora::attach(model, config, 1);
        QStringList found;
        for (const auto& [module, branch, weight] : lora->layers())
            found << QString("%1 %2 %3").arg(QString::fromStdString(module.substr(13))).arg(branch->a.size(0)).arg(branch->scale);
        QCOMPARE(found.join(", "), "0.self_attn.q_proj 2 4, 0.mlp.up_proj 2 1.5, 1.self_attn.q_proj 8 1, 1.mlp.up_proj 4 0.75");
    }
};

QTEST_GUILESS_MAIN(VariantsTest)
#include "variants_test.moc"
