// Whole models against what transformers computes with them (tests/golden/tiny_llama.py).
#include "tests/torch_tests.h"

#include "core/formats/safetensors.h"
#include "core/nn/generate.h"
#include "core/nn/load.h"

using namespace qlora;
using namespace qlora::nn;
using torch::Tensor;
namespace fs = std::filesystem;

namespace {

Model load_tiny(const std::string& name, recipe::Precision precision) {
    Control control;
    return load(ModelFiles::open(golden("tiny_llama/") + name), {precision, {}}, control);
}

struct Expected {
    std::vector<std::int32_t> ids, greedy;
    Tensor logits;
    explicit Expected(const std::string& name) {
        formats::SafetensorsFile file(golden("tiny_llama/") + name + "/expected.safetensors");
        auto read = [&](const char* tensor) {
            const auto& view = file.at(tensor);
            auto type = view.dtype == formats::DType::i64 ? torch::kInt64 : torch::kFloat32;
            return torch::from_blob(const_cast<std::byte*>(view.data.data()), view.shape, type).clone();
        };
        auto list = [&](const char* tensor) {
            Tensor t = read(tensor);
            return std::vector<std::int32_t>(t.data_ptr<std::int64_t>(), t.data_ptr<std::int64_t>() + t.numel());
        };
        ids = list("ids");
        greedy = list("greedy");
        logits = read("logits");
    }
};

double largest_difference(const Tensor& a, const Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

class Folder {
  public:
    explicit Folder(const char* source) {
        fs::copy(golden("tiny_llama/") + source, path());
    }
    fs::path path() const { return fs::path(folder_.path().toStdString()) / "model"; }
    void edit_config(const std::function<void(Json&)>& edit) const {
        Json json = read_json_file(path() / "config.json");
        edit(json);
        write_atomically(path() / "config.json", json.dump());
    }

  private:
    QTemporaryDir folder_;
};

}  // namespace

class ModelTest : public QObject {
    Q_OBJECT

  private slots:
    void logits_equal_those_of_transformers_data() {
        QTest::addColumn<QString>("name");
        for (const char* name : {"plain", "biased", "llama3", "sharded"}) QTest::newRow(name) << name;
    }
    void logits_equal_those_of_transformers() {
        QFETCH(QString, name);
        const Expected expected(name.toStdString());
        const Model model = load_tiny(name.toStdString(), recipe::Precision::fp32);
        const double difference = largest_difference(model.logits(expected.ids), expected.logits);
        QVERIFY2(difference < 2e-5, qPrintable(QString::number(difference)));
        // Negative control: the base of the rotary frequencies changed.
        Model wrong = load_tiny(name.toStdString(), recipe::Precision::fp32);
        wrong.config.ropes[0].theta *= 1.01;
        QVERIFY(largest_difference(wrong.logits(expected.ids), expected.logits) > 2e-5);
    }

    void greedy_tokens_equal_those_of_transformers_data() { logits_equal_those_of_transformers_data(); }
    void greedy_tokens_equal_those_of_transformers() {
        QFETCH(QString, name);
        const Expected expected(name.toStdString());
        const Model model = load_tiny(name.toStdString(), recipe::Precision::fp32);
        Control control;
        const auto generated = generate(model, expected.ids, 64, {}, {}, control);
        QVERIFY(generated.ids == expected.greedy);
        QCOMPARE(QString::fromStdString(generated.stop), QString("length"));
    }

    void a_cache_fed_in_pieces_gives_the_logits_of_the_whole() {
        const Expected expected("plain");
        const Model model = load_tiny("plain", recipe::Precision::nf4);
        const Tensor whole = model.logits(expected.ids);
        KeyValueCache cache;
        std::size_t at = 0;
        for (std::size_t piece : {1u, 5u, 1u, 30u, 2u}) {
            std::vector<std::int32_t> ids(expected.ids.begin() + at, expected.ids.begin() + at + piece);
            at += piece;
            QVERIFY(largest_difference(model.next_logits(ids, cache), whole[static_cast<std::int64_t>(at) - 1]) < 1e-5);
        }
    }

    void packed_segments_lose_as_much_as_alone() {
        const Model model = load_tiny("biased", recipe::Precision::fp32);
        auto batch = [](std::vector<std::vector<std::int32_t>> rows) {
            data::Batch b;
            b.starts = {0};
            for (const auto& row : rows) {
                for (std::size_t i = 0; i < row.size(); ++i) {
                    b.ids.push_back(row[i]);
                    b.positions.push_back(static_cast<std::int32_t>(i));
                    b.targets.push_back(i + 1 < row.size() ? row[i + 1] : data::ignored_target);
                }
                b.starts.push_back(static_cast<std::int32_t>(b.ids.size()));
            }
            return b;
        };
        const std::vector<std::int32_t> a = {5, 9, 200, 31, 7}, c = {77, 3, 18};
        const double together = model.loss_sum(batch({a, c})).item<double>();
        const double alone = model.loss_sum(batch({a})).item<double>() + model.loss_sum(batch({c})).item<double>();
        QVERIFY(std::abs(together - alone) < 1e-4);
        auto joined = a;
        joined.insert(joined.end(), c.begin(), c.end());
        QVERIFY(std::abs(model.loss_sum(batch({joined})).item<double>() - together) > 1e-2);
    }

    // Noise on embeddings (Jain et al. 2023): uniform, of a segment's own size, in training alone.
    void embeddings_are_noised_while_training() {
        Model model = load_tiny("plain", recipe::Precision::fp32);
        data::Batch batch;
        batch.ids = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
        batch.positions = {0, 1, 0, 1, 2, 3, 4, 5, 6, 7};
        batch.starts = {0, 2, 10};
        batch.rows = {0, 1};
        auto embedded = [&](const DropoutKey& key) {
            States states;
            model.hidden(batch, key, &states);
            return states.stack[0];
        };
        const DropoutKey key{true, 7, 3};
        const Tensor still = embedded(key);
        model.neftune_alpha = 5;
        QVERIFY(torch::equal(embedded({}), still));
        const Tensor noise = embedded(key) - still;
        QVERIFY(torch::equal(embedded(key) - still, noise));
        QVERIFY(!torch::equal(embedded({true, 7, 4}) - still, noise));
        for (const auto& [begin, length] : {std::pair{0, 2}, {2, 8}}) {
            const Tensor part = noise.narrow(0, begin, length);
            const double most = 5 / std::sqrt(static_cast<double>(part.numel()));
            QVERIFY(part.abs().max().item<double>() <= most * 1.001);
            QVERIFY(part.abs().max().item<double>() > most * 0.8);
            QVERIFY(std::abs(part.mean().item<double>()) < 4 * most / std::sqrt(3.0 * static_cast<double>(part.numel())));
        }
    }

    void an_id_outside_the_vocabulary_is_refused() {
        const Model model = load_tiny("plain", recipe::Precision::nf4);
        QCOMPARE(code_of([&] { model.logits({1, 512}); }), "model.token");
        QCOMPARE(code_of([&] { model.logits({-1}); }), "model.token");
    }

    void sampling_follows_its_seed_and_limits() {
        Tensor logits = torch::tensor({1.0f, 3.0f, 2.0f, -1.0f});
        QCOMPARE(sample(logits, {}, 0.99), 1);
        QCOMPARE(sample(logits, {.temperature = 1, .top_k = 1}, 0.999), 1);
        QCOMPARE(sample(logits, {.temperature = 1, .top_p = 0.1}, 0.999), 1);
        QCOMPARE(sample(logits, {.temperature = 1, .top_k = 2}, 0.999), 2);
        std::array<int, 4> counts{};
        for (int i = 0; i < 1000; ++i) ++counts[static_cast<std::size_t>(sample(logits, {.temperature = 1}, i / 1000.0))];
        const Tensor p = logits.softmax(0);
        for (int i = 0; i < 4; ++i) QVERIFY(std::abs(counts[static_cast<std::size_t>(i)] / 1000.0 - p[i].item<double>()) < 0.01);
    }

    void a_broken_model_is_named_data() {
        QTest::addColumn<QString>("field");
        QTest::addColumn<QByteArray>("value");
        QTest::addColumn<QString>("code");
        auto row = [](const char* name, const char* field, const char* value, const char* code) {
            QTest::newRow(name) << field << QByteArray(value) << code;
        };
        row("hidden size as text", "hidden_size", "\"32\"", "json.field");
        row("hidden size with a fraction", "hidden_size", "32.5", "json.field");
        row("negative layers", "num_hidden_layers", "-2", "json.field");
        row("huge vocabulary", "vocab_size", "99999999999", "json.field");
        row("heads do not divide", "num_key_value_heads", "3", "json.field");
        row("zero eps", "rms_norm_eps", "0", "json.field");
        row("odd head", "head_dim", "15", "json.field");
        row("unknown rope", "rope_parameters", "{\"rope_type\": \"dreams\", \"factor\": 2}", "json.field");
        row("other family", "model_type", "\"mamba\"", "model.family");
        row("weights of another shape", "hidden_size", "64", "tensor.shape");
        row("more layers than weights", "num_hidden_layers", "3", "tensor.missing");
    }
    void a_broken_model_is_named() {
        QFETCH(QString, field);
        QFETCH(QByteArray, value);
        QFETCH(QString, code);
        Folder folder("plain");
        folder.edit_config([&](Json& json) { json[field.toStdString()] = Json::parse(value.toStdString()); });
        try {
            Control control;
            load(ModelFiles::open(folder.path()), {recipe::Precision::nf4, {}}, control);
            QFAIL("accepted");
        } catch (const Error& error) {
            QCOMPARE(QString::fromStdString(error.code()), code);
            QVERIFY2(error.message().find(folder.path().string()) != std::string::npos, error.what());
            if (code == "json.field") QVERIFY2(QString(error.what()).contains(field) || QString(error.what()).contains("rope_type"), error.what());
        }
    }

    void loading_can_be_stopped() {
        Control control;
        control.stop();
        QCOMPARE(code_of([&] { load(ModelFiles::open(golden("tiny_llama/plain")), {recipe::Precision::nf4, {}}, control); }), "stopped");
    }
};

QTEST_GUILESS_MAIN(ModelTest)
#include "model_test.moc"
