// Every family against what transformers and PEFT compute (tests/golden/families.py).
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
const char* const others[] = {"bert", "bert_classify", "bert_regression", "bert_multilabel", "roberta_classify", "distilbert_classify",
                              "t5", "t5_gated", "t5_uneven", "llama_classify", "gpt2_classify"};

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
    std::size_t count(const std::string& prefix) const {
        std::size_t count = 0;
        for (const auto& view : file_.tensors()) count += view.name.starts_with(prefix);
        return count;
    }

  private:
    formats::SafetensorsFile file_;
};

double difference(const Tensor& a, const Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

void all_of(std::initializer_list<const char*> some) {
    QTest::addColumn<QString>("name");
    for (const char* name : some) QTest::newRow(name) << name;
}

void everything() {
    all_of({});
    for (const char* name : decoders) QTest::newRow(name) << name;
    for (const char* name : others) QTest::newRow(name) << name;
}

// The row without its padding, which transformers hides by a mask and this engine never has.
Input input_of(const Expected& expected) {
    Input input{expected.ids("ids")};
    if (expected.has("attention_mask")) input.ids.resize(static_cast<std::size_t>(expected.tensor("attention_mask").sum().item<std::int64_t>()));
    if (expected.has("token_type_ids")) input.types = expected.ids("token_type_ids");
    if (expected.has("decoder_ids")) input.decoder_ids = expected.ids("decoder_ids");
    return input;
}

data::Batch batch_of(const Expected& expected, const Model& model) {
    const Input input = input_of(expected);
    data::Batch batch;
    batch.ids = input.ids;
    batch.types = input.types;
    for (std::size_t i = 0; i < batch.ids.size(); ++i) batch.positions.push_back(static_cast<std::int32_t>(i));
    batch.starts = {0, static_cast<std::int32_t>(batch.ids.size())};
    batch.rows = {0};
    if (model.config.head.kind == HeadConfig::Kind::classifier) {
        const Tensor labels = expected.tensor("labels").to(torch::kFloat32);
        batch.labels.assign(labels.data_ptr<float>(), labels.data_ptr<float>() + labels.numel());
    } else if (model.config.encoder_decoder()) {
        batch.targets = expected.ids("labels");
        batch.answer_starts = {0, static_cast<std::int32_t>(batch.targets.size())};
    } else {
        for (std::size_t i = 0; i < batch.ids.size(); ++i)
            batch.targets.push_back(i + 1 < batch.ids.size() ? batch.ids[i + 1] : data::ignored_target);
    }
    return batch;
}

// The loss that the expected gradients are of.
Tensor loss_of(const Model& model, const data::Batch& batch) {
    if (model.config.head.kind == HeadConfig::Kind::none) return model.hidden(batch).square().mean();
    return model.loss_sum(batch) / static_cast<double>(batch.trained_tokens());
}

}  // namespace

class FamiliesTest : public QObject {
    Q_OBJECT

  private slots:
    void logits_and_hidden_states_equal_those_of_transformers_data() { everything(); }
    void logits_and_hidden_states_equal_those_of_transformers() {
        QFETCH(QString, name);
        const Expected expected(folder(name) / "expected.safetensors");
        const Model model = load_model(folder(name));
        const Input input = input_of(expected);
        if (expected.has("logits")) {
            const double apart = difference(model.logits(input), expected.tensor("logits"));
            QVERIFY2(apart < 2e-4, std::to_string(apart).c_str());
        } else {
            QVERIFY_THROWS_EXCEPTION(Error, model.logits(input));
        }
        const States states = model.hidden_states(input);
        auto compare = [&](const std::vector<Tensor>& got, const std::string& prefix) {
            for (std::size_t i = 0; i < got.size(); ++i) {
                const std::string key = prefix + "hidden." + (expected.has("hidden.last") && i + 1 == got.size() ? "last" : std::to_string(i));
                Tensor wanted = expected.tensor(key);
                const double apart = difference(got[i], wanted.narrow(0, 0, got[i].size(0)));
                QVERIFY2(apart < 2e-4, (key + " " + std::to_string(apart)).c_str());
            }
        };
        QCOMPARE(states.stack.size(), model.stack.blocks.size() + 1);
        QCOMPARE(states.encoder.size(), model.config.encoder_decoder() ? model.encoder.blocks.size() + 1 : 0u);
        compare(states.stack, model.config.encoder_decoder() ? "decoder." : "");
        compare(states.encoder, "encoder.");
        if (expected.has("second.ids"))
            QVERIFY(difference(model.logits(expected.ids("second.ids")), expected.tensor("second.logits")) < 2e-4);
    }

    void greedy_tokens_equal_those_of_transformers_with_and_without_a_cache_data() {
        all_of({"t5", "t5_gated", "t5_uneven"});
        for (const char* name : decoders) QTest::newRow(name) << name;
    }
    void greedy_tokens_equal_those_of_transformers_with_and_without_a_cache() {
        QFETCH(QString, name);
        const Expected expected(folder(name) / "expected.safetensors");
        Model model = load_model(folder(name));
        if (!model.config.ropes.empty()) model.config.context = 4096;  // some are to be asked beyond it
        Input input{expected.ids("ids")};
        const auto greedy = expected.ids("greedy");
        Control control;
        QCOMPARE(generate(model, input.ids, 64, {}, {}, control).ids, greedy);
        // After another prompt of the same beginning.
        KeyValueCache cache;
        auto other = input.ids;
        other.back() = other.front();
        other.push_back(other.front());
        generate(model, other, 8, {}, {}, control, {}, &cache);
        for (int again = 0; again < 2; ++again) QCOMPARE(generate(model, input.ids, 64, {}, {}, control, {}, &cache).ids, greedy);
        auto& growing = model.config.encoder_decoder() ? input.decoder_ids : input.ids;
        if (model.config.encoder_decoder()) growing = {model.config.decoder_start};
        for (const std::int32_t token : greedy) {
            QCOMPARE(model.logits(input)[-1].argmax().item<std::int64_t>(), std::int64_t(token));
            growing.push_back(token);
        }
    }

    void gradients_of_lora_equal_those_of_peft_data() { everything(); }
    void gradients_of_lora_equal_those_of_peft() {
        QFETCH(QString, name);
        const Expected expected(folder(name) / "expected.safetensors");
        Model model = load_model(folder(name));
        auto lora = adapters::Lora::load(model, folder(name) / "adapter");
        const data::Batch batch = batch_of(expected, model);
        for (const bool again : {false, true}) {  // with activations recomputed
            model.gradient_checkpointing = again;
            lora->gradients().zero_();
            Tensor loss = loss_of(model, batch);
            loss.backward();
            QVERIFY(std::abs(loss.item<double>() - expected.tensor("loss").item<double>()) < 1e-4 * loss.item<double>());
            std::size_t compared = 0;
            auto compare = [&](const std::string& key, const Tensor& leaf) {
                const double apart = difference(leaf.grad(), expected.tensor("grad.base_model.model." + key));
                QVERIFY2(apart < 1e-3, (key + " " + std::to_string(apart)).c_str());
                ++compared;
            };
            for (const auto& layer : lora->layers()) {
                compare(layer.module + ".lora_A.weight", layer.branch->a);
                compare(layer.module + ".lora_B.weight", layer.branch->b);
            }
            std::size_t linears = 0;
            model.for_each_linear([&](const Linear& layer) {
                linears += layer.branch != nullptr;
                if (layer.trained == nullptr) return;
                compare(layer.name + ".weight", layer.trained->values);
                if (layer.bias.trained) compare(layer.bias.name, layer.bias.now());
            });
            QVERIFY(linears >= model.stack.blocks.size() * model.stack.blocks[0].linears().size());
            QCOMPARE(compared, expected.count("grad."));
        }
    }

    void the_base_drops_numbers_where_its_configuration_says_so_data() { everything(); }
    void the_base_drops_numbers_where_its_configuration_says_so() {
        QFETCH(QString, name);
        const Expected expected(folder(name) / "expected.safetensors");
        Model model = load_model(folder(name));
        auto lora = adapters::Lora::load(model, folder(name) / "adapter");
        if (model.config.head.kind == HeadConfig::Kind::none) return;
        model.config.dropout = {.embedding = 0.2, .attention = 0.2, .attention_output = 0.2, .mlp_output = 0.2, .mlp_inner = 0.2,
                                .final_norm = 0.2, .classifier = 0.2, .classifier_dense = 0.2};
        const data::Batch batch = batch_of(expected, model);
        auto pass = [&](const DropoutKey& key) {
            lora->gradients().zero_();
            Tensor loss = model.loss_sum(batch, key);
            loss.backward();
            return std::pair(loss.item<double>(), lora->gradients().clone());
        };
        const DropoutKey key{true, 1, 2};
        const auto without = pass(key);
        model.base_dropout = true;
        QCOMPARE(pass({}).first, without.first);
        const auto with = pass(key);
        QVERIFY(with.first != without.first);
        QVERIFY(pass({true, 1, 3}).first != with.first);
        model.gradient_checkpointing = true;
        const auto again = pass(key);
        QCOMPARE(again.first, with.first);
        const double apart = difference(again.second, with.second);  // what a decoder reads sums in another order
        QVERIFY2(apart < 1e-5, std::to_string(apart).c_str());
        // Each place draws for itself.
        for (double DropoutConfig::*place : {&DropoutConfig::attention, &DropoutConfig::attention_output, &DropoutConfig::mlp_output, &DropoutConfig::embedding}) {
            model.config.dropout = {};
            model.config.dropout.*place = 0.2;
            QVERIFY(pass(key).first != without.first);
        }
    }

    void dropout_is_that_of_the_configuration() {
        const auto at = [](const char* name) { return load_model(folder(name)).config.dropout; };
        QCOMPARE(at("bert_classify").attention, 0.1);
        QCOMPARE(at("bert_classify").classifier, 0.1);
        QCOMPARE(at("t5").mlp_inner, 0.1);
        QVERIFY(!at("llama").any());
    }

    void labels_have_the_names_of_the_file() {
        QCOMPARE(load_model(folder("bert_classify")).config.head.labels, (std::vector<std::string>{"cold", "warm", "hot"}));
        QCOMPARE(load_model(folder("gpt2_classify")).config.head.labels, (std::vector<std::string>{"LABEL_0", "LABEL_1"}));
        QCOMPARE(load_model(folder("bert_regression")).config.head.problem, recipe::ProblemType::regression);
        QCOMPARE(load_model(folder("bert_multilabel")).config.head.problem, recipe::ProblemType::multi_label);
    }

    void a_model_without_a_classifier_gets_a_fresh_one_data() { all_of({"bert", "llama", "gpt2", "gemma2", "qwen3"}); }
    void a_model_without_a_classifier_gets_a_fresh_one() {
        QFETCH(QString, name);
        Control control;
        auto fresh = [&](std::uint64_t seed) {
            return load(ModelFiles::open(folder(name)), {recipe::Precision::fp32, {}}, control, {},
                        {recipe::Task::classification, {"no", "yes", "maybe"}, recipe::ProblemType::single_label, seed});
        };
        const Model model = fresh(1);
        const Input input{{5, 6, 7, 8}};
        const Tensor logits = model.logits(input);
        QCOMPARE(logits.numel(), std::int64_t(3));
        QCOMPARE(model.fresh_modules.size(), std::size_t(1));
        QVERIFY(torch::equal(logits, fresh(1).logits(input)));
        QVERIFY(!torch::equal(logits, fresh(2).logits(input)));
        const double spread = model.head.weight.dequantized().std().item<double>();
        QVERIFY2(spread > 0.015 && spread < 0.025, std::to_string(spread).c_str());
    }

    void a_task_that_a_model_cannot_do_is_refused() {
        Control control;
        auto with = [&](const char* name, recipe::Task task) {
            load(ModelFiles::open(folder(name)), {recipe::Precision::fp32, {}}, control, {}, {task, {"a", "b"}});
        };
        QVERIFY_THROWS_EXCEPTION(Error, with("bert", recipe::Task::causal_lm));
        QVERIFY_THROWS_EXCEPTION(Error, with("llama", recipe::Task::seq2seq));
        QVERIFY_THROWS_EXCEPTION(Error, with("t5", recipe::Task::causal_lm));
        QVERIFY_THROWS_EXCEPTION(Error, with("t5", recipe::Task::classification));
    }

    void packed_rows_see_nothing_of_each_other_data() { all_of({"bert_classify", "roberta_classify", "t5", "t5_gated", "llama_classify"}); }
    void packed_rows_see_nothing_of_each_other() {
        QFETCH(QString, name);
        const Model model = load_model(folder(name));
        const std::vector<std::vector<std::int32_t>> rows = {{5, 9, 30, 31, 7}, {44, 8}, {12, 13, 14, 15, 16, 17, 18}};
        torch::NoGradGuard no_grad;
        data::Batch all;
        std::vector<Tensor> alone;
        for (const auto& row : rows) {
            data::Batch one;
            for (auto* batch : {&all, &one}) {
                batch->starts.push_back(static_cast<std::int32_t>(batch->ids.size()));
                batch->ids.insert(batch->ids.end(), row.begin(), row.end());
                for (std::size_t i = 0; i < row.size(); ++i) batch->positions.push_back(static_cast<std::int32_t>(i));
                batch->rows.push_back(0);
                if (!model.config.encoder_decoder()) continue;
                batch->answer_starts.push_back(static_cast<std::int32_t>(batch->targets.size()));
                batch->targets.insert(batch->targets.end(), row.rbegin(), row.rend());
            }
            one.starts.push_back(static_cast<std::int32_t>(one.ids.size()));
            if (model.config.encoder_decoder()) one.answer_starts.push_back(static_cast<std::int32_t>(one.targets.size()));
            alone.push_back(model.hidden(one));
        }
        all.starts.push_back(static_cast<std::int32_t>(all.ids.size()));
        if (model.config.encoder_decoder()) all.answer_starts.push_back(static_cast<std::int32_t>(all.targets.size()));
        QVERIFY(difference(model.hidden(all), torch::cat(alone)) < 1e-5);
    }

    void gguf_files_give_the_logits_of_their_folders_data() {
        all_of({"gpt2", "llama_biased", "llama_linear", "llama_yarn", "llama_llama3", "mistral_full", "qwen2", "qwen3", "phi3",
                "phi3_longrope", "gemma", "gemma2", "gemma3", "bert", "roberta_classify", "t5", "t5_gated"});
    }
    void gguf_files_give_the_logits_of_their_folders() {
        QFETCH(QString, name);
        const Expected expected(folder(name) / "expected.safetensors");
        const Model model = load_model(folder(name) / "model.gguf");
        const Input input = input_of(expected);
        const double apart = expected.has("logits") ? difference(model.logits(input), expected.tensor("logits"))
                                                    : difference(model.hidden_states(input).stack.back(), expected.tensor("hidden.last"));
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
