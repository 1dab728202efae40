// Every family of decoders against what transformers and PEFT compute (tests/golden/families.py).
#include "tests/torch_tests.h"

#include "core/adapters/lora.h"
#include "core/formats/safetensors.h"
#include "core/nn/generate.h"
#include "core/nn/load.h"

using namespace qlora;
using namespace qlora::nn;
using torch::Tensor;
namespace fs = std::filesystem;

namespace {

const char* const decoders[] = {
    "gpt2", "gpt2_scaled", "llama", "llama_biased", "llama_linear", "llama_dynamic", "llama_yarn", "llama_yarn_mscale",
    "llama_llama3", "llama_longrope", "mistral", "mistral_full", "qwen2", "qwen2_window", "qwen2_yarn", "qwen3", "phi3",
    "phi3_longrope", "gemma", "gemma2", "gemma2_large", "gemma3", "gemma3_pattern"};

fs::path folder(const QString& name) { return golden("families/") + name.toStdString(); }

Model load_model(const fs::path& path) {
    Control control;
    return load(ModelFiles::open(path), {recipe::Precision::fp32, {}}, control);
}

class Expected {
  public:
    explicit Expected(const fs::path& path) : file_(path) {}
    bool has(const std::string& name) const { return file_.find(name) != nullptr; }
    Tensor tensor(const std::string& name) const {
        const auto& view = file_.at(name);
        const auto type = view.dtype == formats::DType::i64 ? torch::kInt64 : torch::kFloat32;
        return torch::from_blob(const_cast<std::byte*>(view.data.data()), view.shape, type).clone();
    }
    std::vector<std::int32_t> ids(const std::string& name) const {
        Tensor t = tensor(name);
        return {t.data_ptr<std::int64_t>(), t.data_ptr<std::int64_t>() + t.numel()};
    }

  private:
    formats::SafetensorsFile file_;
};

double difference(const Tensor& a, const Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

void all_of(std::initializer_list<const char*> some = {}) {
    QTest::addColumn<QString>("name");
    if (some.size() > 0)
        for (const char* name : some) QTest::newRow(name) << name;
    else
        for (const char* name : decoders) QTest::newRow(name) << name;
}

}  // namespace

class FamiliesTest : public QObject {
    Q_OBJECT

  private slots:
    void logits_and_hidden_states_equal_those_of_transformers_data() { all_of(); }
    void logits_and_hidden_states_equal_those_of_transformers() {
        QFETCH(QString, name);
        const Expected expected(folder(name) / "expected.safetensors");
        const Model model = load_model(folder(name));
        const auto ids = expected.ids("ids");
        QVERIFY2(difference(model.logits(ids), expected.tensor("logits")) < 2e-4, qPrintable(QString::number(difference(model.logits(ids), expected.tensor("logits")))));
        const auto states = model.hidden_states(ids);
        QCOMPARE(states.size(), model.blocks.size() + 1);
        for (std::size_t i = 0; i < states.size(); ++i)
            QVERIFY2(difference(states[i], expected.tensor("hidden." + std::to_string(i))) < 2e-4, std::to_string(i).c_str());
        if (expected.has("second.ids"))
            QVERIFY(difference(model.logits(expected.ids("second.ids")), expected.tensor("second.logits")) < 2e-4);
    }

    void greedy_tokens_equal_those_of_transformers_with_and_without_a_cache_data() { all_of(); }
    void greedy_tokens_equal_those_of_transformers_with_and_without_a_cache() {
        QFETCH(QString, name);
        const Expected expected(folder(name) / "expected.safetensors");
        Model model = load_model(folder(name));
        if (!model.config.ropes.empty()) model.config.context = 4096;  // some are to be asked beyond it
        auto ids = expected.ids("ids");
        const auto greedy = expected.ids("greedy");
        Control control;
        QCOMPARE(generate(model, ids, 64, {}, {}, control).ids, greedy);
        for (const std::int32_t token : greedy) {
            QCOMPARE(model.logits(ids)[-1].argmax().item<std::int64_t>(), std::int64_t(token));
            ids.push_back(token);
        }
    }

    void gradients_of_lora_equal_those_of_peft_data() { all_of(); }
    void gradients_of_lora_equal_those_of_peft() {
        QFETCH(QString, name);
        const Expected expected(folder(name) / "expected.safetensors");
        Model model = load_model(folder(name));
        auto lora = adapters::Lora::load(model, folder(name) / "adapter");
        data::Batch batch;
        batch.ids = expected.ids("ids");
        for (std::size_t i = 0; i < batch.ids.size(); ++i) {
            batch.positions.push_back(static_cast<std::int32_t>(i));
            batch.targets.push_back(i + 1 < batch.ids.size() ? batch.ids[i + 1] : data::ignored_target);
        }
        batch.starts = {0, static_cast<std::int32_t>(batch.ids.size())};
        for (const bool again : {false, true}) {  // with activations recomputed
            model.gradient_checkpointing = again;
            lora->gradients().zero_();
            Tensor loss = model.loss_sum(batch) / static_cast<double>(batch.ids.size() - 1);
            loss.backward();
            QVERIFY(std::abs(loss.item<double>() - expected.tensor("loss").item<double>()) < 1e-4 * loss.item<double>());
            std::size_t compared = 0;
            for (const auto& layer : lora->layers())
                for (const auto& [which, leaf] : {std::pair{"lora_A", layer.branch->a}, {"lora_B", layer.branch->b}}) {
                    const std::string key = "grad.base_model.model." + layer.module + "." + which + ".weight";
                    const double apart = difference(leaf.grad(), expected.tensor(key));
                    QVERIFY2(apart < 1e-3, (key + " " + std::to_string(apart)).c_str());
                    ++compared;
                }
            QCOMPARE(compared, 2 * model.blocks.size() * model.blocks[0].linears(model.config).size());
        }
    }

    void gguf_files_give_the_logits_of_their_folders_data() {
        all_of({"gpt2", "llama_biased", "llama_linear", "llama_yarn", "llama_llama3", "mistral_full", "qwen2", "qwen3", "phi3",
                "phi3_longrope", "gemma", "gemma2", "gemma3"});
    }
    void gguf_files_give_the_logits_of_their_folders() {
        QFETCH(QString, name);
        const Expected expected(folder(name) / "expected.safetensors");
        const Model model = load_model(folder(name) / "model.gguf");
        const double apart = difference(model.logits(expected.ids("ids")), expected.tensor("logits"));
        QVERIFY2(apart < 2e-4, std::to_string(apart).c_str());
    }
    void quantized_gguf_blocks_give_their_own_logits() {
        const Expected expected(folder("llama") / "expected.safetensors"), own(folder("llama") / "gguf_expected.safetensors");
        const Tensor logits = load_model(folder("llama") / "model.gguf").logits(expected.ids("ids"));
        QVERIFY(difference(logits, own.tensor("logits")) < 2e-4);
        QVERIFY(difference(logits, expected.tensor("logits")) > 2e-4);  // Q8_0 is not exact
    }
};

QTEST_GUILESS_MAIN(FamiliesTest)
#include "families_test.moc"
