// config.json that lies: every field of every family's is given values it must not have. It loads and computes numbers, or is
// refused by an error that says what is wrong; nothing is allocated on its word. The same of GGUF's metadata.
#include "tests/torch_tests.h"

#include <sys/resource.h>

#include <cmath>
#include <fstream>

#include "core/base/file.h"
#include "core/formats/gguf.h"
#include "core/memory/meters.h"
#include "core/nn/load.h"

using namespace qlora;
namespace fs = std::filesystem;

namespace {

// A golden model under a config.json of one's own.
class Folder {
  public:
    explicit Folder(const std::string& family) : golden_(golden("families/") + family) {
        for (const auto& entry : fs::directory_iterator(golden_)) {
            const auto name = entry.path().filename().string();
            if (name.starts_with("model") && entry.path().extension() != ".gguf") fs::copy_file(entry.path(), path() / name);
        }
    }
    fs::path path() const { return folder_.path().toStdString(); }
    Json config() const { return read_json_file(golden_ + "/config.json"); }
    void put(const std::string& text) const { std::ofstream(path() / "config.json", std::ios::binary) << text; }  // thousands of times: no sync

  private:
    std::string golden_;
    QTemporaryDir folder_;
};

// Loads the model and computes its logits; what it throws is for the caller.
torch::Tensor logits_of(const fs::path& folder) {
    Control control;
    auto model = nn::load(nn::ModelFiles::open(folder), {recipe::Precision::fp32, {}}, control);
    if (model.config.head.kind == nn::HeadConfig::Kind::none) return model.hidden_states({{1, 2, 3}}).stack.back();
    return model.logits(nn::Input{.ids = {1, 2, 3}, .decoder_ids = model.config.encoder_decoder() ? std::vector<std::int32_t>{1, 2} : std::vector<std::int32_t>{}});
}

// Empty, or what is wrong with how the folder was taken.
std::string complaint(const fs::path& folder, const std::string& field) {
    memory::reset_peak();
    const auto before = memory::read().peak_bytes;
    try {
        const auto logits = logits_of(folder);
        if (!torch::isfinite(logits).all().item<bool>()) return "gives NaN or infinite numbers";
        const auto files = nn::ModelFiles::open(folder);
        if (files.config().context < 1) return "leaves no room for a token";
        for (const auto& rope : files.config().ropes)
            if (!std::isfinite(rope.attention_factor)) return "multiplies attention by an infinite number";
    } catch (const Error& error) {
        const std::string message = error.message();
        const bool named = message.find("config.json") != std::string::npos || message.find(field) != std::string::npos || error.code().starts_with("tensor.") || error.code() == "gguf.field";
        if (!named || error.exit_code() != 2) return std::string("is refused by ") + error.code() + ": " + message;
    } catch (const std::exception& error) {
        return std::string("throws ") + error.what();
    }
    return memory::read().peak_bytes - before < 32'000'000 ? "" : "allocates " + std::to_string(memory::read().peak_bytes - before) + " bytes";
}

const std::vector<Json>& hostile_values() {
    static const std::vector<Json> values = [] {
        std::vector<Json> list = {0, -1, 1, 2, 3, std::int64_t{1} << 20, std::int64_t{1} << 31, std::int64_t{1} << 40, INT64_MAX, INT64_MIN,
                                  1e308, -1e308, 5e-324, 0.5, "a string", "", nullptr, true, false, Json::object(), Json::array()};
        list.push_back(std::string(5000, 'x'));
        list.push_back(std::vector<int>(5000, 7));
        return list;
    }();
    return values;
}

// Pointers to all numbers, truth values, strings and lists in it.
void collect(const Json& json, const Json::json_pointer& at, std::vector<Json::json_pointer>& fields) {
    if (!at.empty()) fields.push_back(at);
    if (json.is_object())
        for (const auto& [key, value] : json.items()) collect(value, at / key, fields);
}

}  // namespace

class HostileConfigTest : public QObject {
    Q_OBJECT

  private slots:
    void initTestCase() { at::set_num_threads(1); }  // models this small would wait for threads most of the time

    void c3_to_c5_no_field_is_believed_data() {
        QTest::addColumn<QString>("family");
        for (const char* family : {"bert_classify", "roberta_classify", "distilbert_classify", "gpt2_classify", "t5_gated", "llama_llama3", "llama_dynamic",
                                   "mistral", "phi3_longrope", "qwen2_yarn", "qwen3", "gemma", "gemma2", "gemma3_pattern"})
            QTest::newRow(family) << family;
    }
    void c3_to_c5_no_field_is_believed() {
        QFETCH(QString, family);
        const Folder folder(family.toStdString());
        const Json config = folder.config();
        folder.put(config.dump());
        QVERIFY2(logits_of(folder.path()).numel() > 0, "the model as it is");
        std::vector<Json::json_pointer> fields;
        collect(config, Json::json_pointer(), fields);
        QVERIFY(fields.size() > 10);
        QStringList wrong;
        for (const auto& field : fields) {
            for (const Json& value : hostile_values()) {
                Json edited = config;
                edited[field] = value;
                folder.put(edited.dump());
                const auto found = complaint(folder.path(), field.back());
                if (!found.empty()) wrong << QString::fromStdString(field.to_string() + " = " + value.dump().substr(0, 40) + " " + found.substr(0, 300));
            }
            Json without = config;
            Json::json_pointer parent = field.parent_pointer();
            without[parent].erase(field.back());
            folder.put(without.dump());
            const auto found = complaint(folder.path(), field.back());
            if (!found.empty()) wrong << QString::fromStdString("without " + field.to_string() + " it " + found);
        }
        QVERIFY2(wrong.isEmpty(), qPrintable("\n" + wrong.join('\n')));
    }

    void no_number_of_gguf_metadata_is_believed_data() {
        QTest::addColumn<QString>("family");
        for (const auto& entry : fs::directory_iterator(golden("families/")))
            if (fs::exists(entry.path() / "model.gguf")) QTest::newRow(entry.path().filename().c_str()) << QString(entry.path().filename().c_str());
    }
    void no_number_of_gguf_metadata_is_believed() {
        QFETCH(QString, family);
        const QTemporaryDir folder;
        const fs::path path = fs::path(folder.path().toStdString()) / "model.gguf";
        const std::string good = read_file(golden("families/") + family.toStdString() + "/model.gguf");
        auto put = [&](const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; };
        put(good);
        QVERIFY2(logits_of(path).numel() > 0, "the model as it is");
        std::vector<std::string> keys;
        const formats::GgufFile file(path);
        for (const auto& [key, value] : file.metadata()) keys.push_back(key);
        const std::vector<std::uint32_t> words = {0, 1, 2, 3, 7, 1u << 20, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
                                                  0x7FC00000 /* NaN */, 0x7F800000 /* infinite */, 0xBF800000 /* -1 */, 0x7E967699 /* 1e38 */};
        QStringList wrong;
        for (const auto& key : keys) {
            const std::size_t type_at = good.find(key) + key.size();
            std::uint32_t type = 0;
            std::memcpy(&type, good.data() + type_at, 4);
            if (type < 4 || type > 6) continue;  // 32-bit numbers: what the families write their sizes in
            for (const std::uint32_t word : words) {
                std::string bytes = good;
                std::memcpy(bytes.data() + type_at + 4, &word, 4);
                put(bytes);
                const auto found = complaint(path, key);
                if (!found.empty()) wrong << QString("%1 = %2 (type %3) %4").arg(key.c_str()).arg(word).arg(type).arg(found.substr(0, 300).c_str());
            }
        }
        QVERIFY2(wrong.isEmpty(), qPrintable("\n" + wrong.join('\n')));
    }

    void cleanupTestCase() {
        struct rusage usage {};
        getrusage(RUSAGE_SELF, &usage);
        QVERIFY2(usage.ru_maxrss < 1'500'000, qPrintable(QString::number(usage.ru_maxrss)));  // KiB, LibTorch included
    }

    void c1_c2_c7_c11_what_is_no_config_is_refused_data() {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QString>("code");
        const QByteArray good = QByteArray::fromStdString(Folder("llama").config().dump());
        QTest::newRow("as it is") << good << "";
        QTest::newRow("byte order mark") << QByteArray("\xEF\xBB\xBF") + good << "";
        QTest::newRow("empty") << QByteArray() << "json.syntax";
        QTest::newRow("blanks") << QByteArray(" \n\t ") << "json.syntax";
        QTest::newRow("cut short") << good.chopped(1) << "json.syntax";
        QTest::newRow("cut in the middle") << good.left(good.size() / 2) << "json.syntax";
        QTest::newRow("trailing text") << good + "x" << "json.syntax";
        QTest::newRow("two documents") << good + good << "json.syntax";
        QTest::newRow("NaN") << QByteArray(good).replace("\"rms_norm_eps\":", "\"rms_norm_eps\":NaN,\"x\":") << "json.syntax";
        QTest::newRow("1e400") << QByteArray(good).replace("\"hidden_size\":", "\"hidden_size\":1e400,\"x\":") << "json.syntax";
        QTest::newRow("bytes that are no text") << QByteArray(good).replace("{", "{\"\xFF\":1,") << "json.utf8";
        QTest::newRow("UTF-16") << QByteArray("\xFF\xFE{\0}\0", 6) << "json.syntax";
        QTest::newRow("a key twice") << QByteArray(good).replace("\"hidden_size\":", "\"hidden_size\":8,\"hidden_size\":") << "json.duplicate_key";
        QTest::newRow("100,000 levels of lists") << QByteArray("{\"x\":") + QByteArray(100'000, '[') + QByteArray(100'000, ']') + "}" << "json.depth";
        QTest::newRow("100,000 levels of objects") << QByteArray("{\"a\":").repeated(100'000) << "json.depth";
        QTest::newRow("null") << QByteArray("null") << "json.field";
        QTest::newRow("a list") << "[" + good + "]" << "json.field";
        QTest::newRow("a number") << QByteArray("3") << "json.field";
        QTest::newRow("a string") << QByteArray("\"llama\"") << "json.field";
        QTest::newRow("another file's JSON") << QByteArray(R"({"name": "web", "version": "1.0.0", "dependencies": {}})") << "json.field";
        QTest::newRow("a family and no more") << QByteArray(R"({"model_type": "llama"})") << "json.field";
        QTest::newRow("an unknown family") << QByteArray(R"({"model_type": "nothing"})") << "model.family";
        QTest::newRow("a family with a path in it") << QByteArray(R"({"model_type": "../llama"})") << "model.family";
    }
    void c1_c2_c7_c11_what_is_no_config_is_refused() {
        QFETCH(QByteArray, text);
        QFETCH(QString, code);
        const Folder folder("llama");
        folder.put(text.toStdString());
        std::string found, message;
        try {
            logits_of(folder.path());
        } catch (const Error& error) {
            found = error.code();
            message = error.message();
        }
        QVERIFY2(found == code.toStdString(), (found + " " + message.substr(0, 300)).c_str());
        QVERIFY2(code.isEmpty() || message.find("config.json") != std::string::npos, message.c_str());
        QVERIFY(message.size() < 2000);
    }

    void c6_c8_keys_without_a_meaning_change_nothing_and_code_is_never_run() {
        const Folder folder("llama");
        Json config = folder.config();
        folder.put(config.dump());
        const auto logits = logits_of(folder.path());
        config["no_such_key"] = Json{{"deep", {1, 2, 3}}};
        config["auto_map"] = Json{{"AutoModelForCausalLM", "modeling.Evil"}};
        folder.put(config.dump());
        std::ofstream(folder.path() / "modeling.py") << "raise SystemExit\n";
        QVERIFY(torch::equal(logits_of(folder.path()), logits));
        const auto files = nn::ModelFiles::open(folder.path());
        QCOMPARE(files.notices().size(), 2u);
        QVERIFY(files.notices()[0].find("auto_map") != std::string::npos);
        QVERIFY(files.notices()[1].find("no_such_key") != std::string::npos);
        for (int i = 0; i < 100; ++i) config["key " + std::to_string(i) + std::string(1000, 'x')] = 1;
        folder.put(config.dump());
        const auto many = nn::ModelFiles::open(folder.path());
        QCOMPARE(many.notices().size(), 2u);
        QVERIFY(many.notices()[1].size() < 800);
    }

    void c6_every_field_that_transformers_writes_is_known() {
        for (const auto& entry : fs::directory_iterator(golden("families/"))) {
            if (!fs::exists(entry.path() / "config.json")) continue;
            const auto files = nn::ModelFiles::open(entry.path());
            for (const auto& notice : files.notices())
                QVERIFY2(notice.find("not known") == std::string::npos, (entry.path().string() + ": " + notice).c_str());
        }
    }

    void rotary_scalings_at_their_edges_give_numbers_or_are_refused_data() {
        QTest::addColumn<QString>("family");
        QTest::addColumn<QString>("rope");
        auto row = [](const char* name, const char* family, const char* rope) { QTest::newRow(name) << family << rope; };
        row("yarn, theta 1", "llama_yarn", R"({"rope_type": "yarn", "factor": 4, "rope_theta": 1, "original_max_position_embeddings": 64})");
        row("yarn, equal turns", "llama_yarn", R"({"rope_type": "yarn", "factor": 4, "rope_theta": 100, "beta_fast": 1, "beta_slow": 1})");
        row("yarn, turns the wrong way round", "llama_yarn", R"({"rope_type": "yarn", "factor": 4, "rope_theta": 100, "beta_fast": 1, "beta_slow": 1000})");
        row("llama3, equal frequencies", "llama_llama3", R"({"rope_type": "llama3", "factor": 4, "low_freq_factor": 2, "high_freq_factor": 2, "original_max_position_embeddings": 64})");
        row("llama3, the wrong way round", "llama_llama3", R"({"rope_type": "llama3", "factor": 4, "low_freq_factor": 4, "high_freq_factor": 1, "original_max_position_embeddings": 64})");
        row("longrope of one token", "llama_longrope", R"({"rope_type": "longrope", "original_max_position_embeddings": 1, "factor": 4,
            "short_factor": [1, 1, 1, 1, 1, 1], "long_factor": [1, 1, 1, 1, 1, 1]})");
        row("dynamic that shrinks", "llama_dynamic", R"({"rope_type": "dynamic", "factor": 0.001, "original_max_position_embeddings": 1})");
    }
    void rotary_scalings_at_their_edges_give_numbers_or_are_refused() {
        QFETCH(QString, family);
        QFETCH(QString, rope);
        const Folder folder(family.toStdString());
        Json config = folder.config();
        config.erase("original_max_position_embeddings");
        config["rope_parameters"] = Json::parse(rope.toStdString());
        folder.put(config.dump());
        const auto found = complaint(folder.path(), "rope");
        QVERIFY2(found.empty(), found.c_str());
    }
};

QTEST_GUILESS_MAIN(HostileConfigTest)
#include "hostile_config_test.moc"
