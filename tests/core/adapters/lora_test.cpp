// LoRA against PEFT (tests/golden/peft_adapter.py), and what must hold of any adapter.
#include "tests/torch_tests.h"

#include "core/adapters/lora.h"
#include "core/adapters/targets.h"
#include "core/formats/safetensors.h"
#include "core/nn/load.h"
#include "tests/core/train/steps.h"

using namespace qlora;
using namespace qlora::adapters;
using torch::Tensor;
namespace fs = std::filesystem;

namespace {

nn::Model tiny(recipe::Precision precision = recipe::Precision::fp32) {
    Control control;
    return nn::load(nn::ModelFiles::open(golden("tiny_llama/plain")), {precision, {}}, control);
}

std::vector<std::int32_t> some_ids() {
    std::vector<std::int32_t> ids(40);
    for (int i = 0; i < 40; ++i) ids[static_cast<std::size_t>(i)] = i + 3;
    return ids;
}

Tensor expected_logits(const std::string& adapter) {
    formats::SafetensorsFile file(adapter + "/expected.safetensors");
    const auto& view = file.at("logits");
    return torch::from_blob(const_cast<std::byte*>(view.data.data()), view.shape, torch::kFloat32).clone();
}

double largest_difference(const Tensor& a, const Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

std::vector<Tensor> base_storage(const nn::Model& model) {
    std::vector<Tensor> all;
    model.for_each_linear([&](const nn::Linear& layer) {
        for (const auto& [name, tensor] : layer.weight.storage()) all.push_back(tensor.clone());
    });
    return all;
}

bool equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
    for (std::size_t i = 0; i < a.size(); ++i)
        if (!torch::equal(a[i], b[i])) return false;
    return a.size() == b.size();
}

// A copy of PEFT's adapter to damage.
class AdapterCopy {
  public:
    AdapterCopy() { fs::copy(golden("peft_adapter/standard"), path(), fs::copy_options::recursive); }
    fs::path path() const { return fs::path(folder_.path().toStdString()) / "adapter"; }
    void edit_config(const char* key, const char* value) const {
        Json json = read_json_file(path() / "adapter_config.json");
        json[key] = "@value@";  // as text: no parser would hand on a number that is none
        std::string text = json.dump();
        text.replace(text.find("\"@value@\""), 9, value);
        write_atomically(path() / "adapter_config.json", text);
    }
    // Writes the adapter's tensors again through `edit`, which may change the list.
    void edit_tensors(const std::function<void(std::vector<formats::TensorView>&)>& edit) const {
        const fs::path file = path() / "adapter_model.safetensors";
        formats::SafetensorsFile source(file);
        std::vector<formats::TensorView> tensors(source.tensors().begin(), source.tensors().end());
        edit(tensors);
        formats::write_safetensors(file, tensors);
    }

  private:
    QTemporaryDir folder_;
};

}  // namespace

class LoraTest : public QObject {
    Q_OBJECT

  private slots:
    void a_fresh_adapter_changes_nothing() {
        auto model = tiny(recipe::Precision::nf4);
        const Tensor base = model.logits(some_ids());
        auto lora = Lora::attach(model, {.rank = 4, .alpha = 8}, 1);
        QVERIFY(torch::equal(model.logits(some_ids()), base));
        QCOMPARE(lora->parameters(), 2 * 4 * ((32 + 64) * 2 + (32 + 32) * 2 + (32 + 48) * 3));
    }

    void an_adapter_of_peft_computes_what_peft_computes_data() {
        QTest::addColumn<QString>("name");
        QTest::newRow("standard") << "standard";
        QTest::newRow("rslora") << "rslora";
    }
    void an_adapter_of_peft_computes_what_peft_computes() {
        QFETCH(QString, name);
        const auto folder = golden("peft_adapter/") + name.toStdString();
        auto model = tiny();
        const Tensor base = model.logits(some_ids());
        auto lora = Lora::load(model, folder);
        const Tensor expected = expected_logits(folder);
        QVERIFY(largest_difference(model.logits(some_ids()), expected) < 2e-5);
        QVERIFY(largest_difference(base, expected) > 1e-2);
        lora->set_enabled(false);
        QVERIFY(torch::equal(model.logits(some_ids()), base));
        lora->set_enabled(true);
        QVERIFY(largest_difference(model.logits(some_ids()), expected) < 2e-5);
    }

    void training_follows_the_peers_trajectory_data() { an_adapter_of_peft_computes_what_peft_computes_data(); }
    void training_follows_the_peers_trajectory() {
        QFETCH(QString, name);
        const auto folder = golden("peft_adapter/") + name.toStdString();
        const Json reference = read_json_file(folder + "/trajectory.json");
        auto run = [&](double learning_rate) {
            auto model = tiny();
            const auto before = base_storage(model);
            auto lora = Lora::load(model, folder);
            const Tensor start = lora->values().clone();
            auto losses = tests::train_on(model, *lora, reference["batches"], learning_rate, reference["weight_decay"], reference["clip"]);
            if (!equal(before, base_storage(model))) throw std::runtime_error("the base was changed");
            auto other = tiny();
            auto after = Lora::load(other, folder + "/after");
            const double update = (after->values() - start).abs().max().item<double>();
            const double off = (after->values() - lora->values()).abs().max().item<double>() / update;
            double worst = 0;
            for (std::size_t i = 0; i < losses.size(); ++i) {
                const double expected = reference["losses"][i];
                worst = std::max(worst, std::abs(losses[i] - expected) / expected);
            }
            return std::pair(worst, off);
        };
        const auto [loss, adapter] = run(reference["learning_rate"]);
        QVERIFY2(loss < 1e-4, qPrintable(QString::number(loss)));
        QVERIFY2(adapter < 1e-3, qPrintable(QString::number(adapter)));
        const auto [wrong_loss, wrong_adapter] = run(reference["learning_rate"].get<double>() * 1.05);
        QVERIFY(wrong_loss > 1e-4);
        QVERIFY(wrong_adapter > 1e-3);
    }

    void a_saved_adapter_loads_back_to_the_bit() {
        QTemporaryDir folder;
        auto model = tiny(recipe::Precision::nf4);
        auto lora = Lora::attach(model, {.rank = 4, .alpha = 8, .rslora = true, .target_modules = {"q_proj", "mlp.up_proj"}}, 3);
        lora->values().copy_(torch::randn_like(lora->values()));
        const Tensor logits = model.logits(some_ids());
        lora->save(folder.path().toStdString());
        auto again = tiny(recipe::Precision::nf4);
        auto loaded = Lora::load(again, folder.path().toStdString());
        QVERIFY(torch::equal(loaded->values(), lora->values()));
        QVERIFY(torch::equal(again.logits(some_ids()), logits));
        loaded->values().mul_(1.01);
        QVERIFY(!torch::equal(again.logits(some_ids()), logits));
        loaded->restore(folder.path().toStdString());
        QVERIFY(torch::equal(again.logits(some_ids()), logits));
    }

    void its_scale_is_alpha_by_rank_or_by_its_root() {
        const std::vector<std::string> targets{"q_proj"};
        auto logits = [&](LoraConfig config) {
            config.target_modules = targets;
            auto model = tiny();
            auto lora = Lora::attach(model, config, 3);
            lora->values().fill_(0.03);
            return model.logits(some_ids());
        };
        const Tensor plain = logits({.rank = 4, .alpha = 8});
        QVERIFY(torch::equal(plain, logits({.rank = 4, .alpha = 4, .rslora = true})));  // 8 / 4 = 4 / sqrt(4)
        QVERIFY(!torch::equal(plain, logits({.rank = 4, .alpha = 8, .rslora = true})));
        QVERIFY(!torch::equal(plain, logits({.rank = 4, .alpha = 9})));
        // Twice the rank with the same values and scale adds twice as much.
        QVERIFY(!torch::equal(plain, logits({.rank = 8, .alpha = 16})));
        QVERIFY(largest_difference(plain, logits({.rank = 8, .alpha = 8})) < 1e-5);
    }

    void dropout_is_for_training_alone() {
        auto model = tiny();
        auto lora = Lora::load(model, golden("peft_adapter/standard"), 0.5);
        QVERIFY(largest_difference(model.logits(some_ids()), expected_logits(golden("peft_adapter/standard"))) < 2e-5);
        const auto batch = tests::to_batch(Json{{"input_ids", {some_ids()}}, {"labels", {some_ids()}}}, model.config);
        torch::NoGradGuard no_grad;
        const double still = model.loss_sum(batch).item<double>();
        QCOMPARE(model.loss_sum(batch, {false, 1, 1}).item<double>(), still);
        QVERIFY(model.loss_sum(batch, {true, 1, 1}).item<double>() != still);
        QVERIFY(model.loss_sum(batch, {true, 1, 1}).item<double>() != model.loss_sum(batch, {true, 1, 2}).item<double>());
    }

    void targets_follow_pefts_rules() {
        const std::vector<std::string> names = {"model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj",
                                                "model.layers.1.self_attn.q_proj", "lm_head"};
        QCOMPARE(select_targets(names, {"all-linear"}).size(), 3u);
        QCOMPARE(select_targets(names, {"q_proj"}).size(), 2u);
        QCOMPARE(select_targets(names, {"layers.0.self_attn.q_proj", "lm_head"}).size(), 2u);
        QCOMPARE(select_targets(names, {".*layers\\.1\\..*"}).size(), 1u);
        QCOMPARE(code_of([&] { select_targets(names, {"q_proj", "proj"}); }), "adapter.targets");
        QCOMPARE(code_of([&] { select_targets(names, {"(["}); }), "adapter.pattern");
    }

    void the_head_may_be_a_target() {
        auto model = tiny();
        auto lora = Lora::attach(model, {.rank = 2, .alpha = 4, .target_modules = {"lm_head"}}, 3);
        lora->values().copy_(torch::randn_like(lora->values()));
        Json batch = {{"input_ids", {some_ids()}}, {"labels", {some_ids()}}};
        const auto packed = tests::to_batch(batch, model.config);
        const double loss = model.loss_sum(packed).item<double>();
        Tensor log = model.logits(some_ids()).log_softmax(-1);
        double plain = 0;
        for (int i = 0; i < 39; ++i) plain -= log[i][i + 4].item<double>();
        QVERIFY(std::abs(loss - plain) < 1e-3);
    }

    void checkpointing_activations_changes_no_bit() {
        const Json reference = read_json_file(golden("peft_adapter/standard/trajectory.json"));
        auto run = [&](bool checkpointing) {
            auto model = tiny(recipe::Precision::nf4);
            model.gradient_checkpointing = checkpointing;
            auto lora = Lora::load(model, golden("peft_adapter/standard"), 0.1);
            tests::train_on(model, *lora, reference["batches"], 1e-2, 0, 1);
            return lora->values().clone();
        };
        QVERIFY(torch::equal(run(true), run(false)));
    }

    void a_damaged_adapter_is_refused() {
        auto model = tiny();
        auto code = [&](const AdapterCopy& copy) { return code_of([&] { auto m = tiny(); Lora::load(m, copy.path()); }); };
        QCOMPARE(code(AdapterCopy()), "");
        for (auto [key, value] : {std::pair("r", "0"), {"r", "1000000000"}, {"r", "\"4\""}, {"lora_alpha", "null"},
                                  {"use_dora", "3"}, {"use_bdlora", "true"}, {"bias", "\"all\""}, {"modules_to_save", "7"}, {"lora_alpha", "1e300"}, {"r", "-4"}, {"r", "4.5"},
                                  {"rank_pattern", "{\"q_proj\": 0}"}, {"alpha_pattern", "[1]"}, {"layers_to_transform", "\"all\""},
                                  {"peft_type", "\"IA3\""}, {"target_modules", "[]"}, {"target_modules", "[3]"}}) {
            AdapterCopy copy;
            copy.edit_config(key, value);
            QCOMPARE(code(copy), "json.field");
        }
        for (const char* value : {"1e400", "NaN", "Infinity"}) {
            AdapterCopy copy;
            copy.edit_config("lora_alpha", value);
            QCOMPARE(code(copy), "json.syntax");
        }
        AdapterCopy unmatched, missing, extra, shape, no_config;
        unmatched.edit_config("target_modules", "[\"nothing\"]");
        QCOMPARE(code(unmatched), "adapter.targets");
        LoraConfig norms;
        norms.target_options.saved = {"input_layernorm"};
        QCOMPARE(code_of([&] { auto m = tiny(); Lora::attach(m, norms, 1); }), "adapter.modules_to_save");
        AdapterCopy pissa;
        pissa.edit_config("init_lora_weights", "\"pissa\"");
        QCOMPARE(code(pissa), "json.field");
        missing.edit_tensors([](auto& tensors) { tensors.pop_back(); });
        QCOMPARE(code(missing), "adapter.tensors");
        extra.edit_tensors([](auto& tensors) {
            tensors.push_back(tensors.back());
            tensors.back().name = "base_model.model.model.layers.9.mlp.up_proj.lora_A.weight";
        });
        QCOMPARE(code(extra), "adapter.tensors");
        shape.edit_config("r", "5");
        QCOMPARE(code(shape), "tensor.shape");
        fs::remove(no_config.path() / "adapter_config.json");
        QCOMPARE(code(no_config), "adapter.config");
        AdapterCopy nan;
        std::vector<std::byte> bytes;
        nan.edit_tensors([&](auto& tensors) {
            bytes.assign(tensors.front().data.begin(), tensors.front().data.end());
            const float value = NAN;
            std::memcpy(bytes.data(), &value, 4);
            tensors.front().data = bytes;
        });
        QCOMPARE(code(nan), "tensor.not_finite");
    }
};

QTEST_GUILESS_MAIN(LoraTest)
#include "lora_test.moc"
