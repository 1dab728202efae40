#include <QTemporaryDir>
#include <QtTest>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/home.h"
#include "core/base/json.h"
#include "core/hub/catalogue.h"

using namespace qlora;
namespace fs = std::filesystem;

class HubTest : public QObject {
    Q_OBJECT
    std::unique_ptr<QTemporaryDir> folder_;
    fs::path root() const { return fs::canonical(folder_->path().toStdString()); }

    void write(const char* path, const std::string& text = "x") const {
        create_folders((root() / path).parent_path());
        write_atomically(root() / path, text);
    }
    static std::string message_of(const std::string& given, bool model = true) {
        try {
            model ? hub::resolve_model(given) : hub::resolve_data(given);
        } catch (const Error& error) {
            return error.code() + " " + error.message() + " " + error.hint();
        }
        return {};
    }

  private slots:
    void init() {
        folder_ = std::make_unique<QTemporaryDir>();
        qputenv("QLORA_HOME", (folder_->path() + "/home").toUtf8());
        qputenv("QLORA_DEPS", (folder_->path() + "/prepared").toUtf8());
        qputenv("QLORA_RESOURCES", (folder_->path() + "/resources").toUtf8());
    }

    void one_variable_moves_everything_the_program_keeps() {
        QCOMPARE(data_home(), root() / "home");
        QCOMPARE(config_home(), root() / "home" / "config");
        QCOMPARE(cache_home(), root() / "home" / "cache");
        qunsetenv("QLORA_HOME");
        qputenv("XDG_DATA_HOME", "/xdg/data");
        qputenv("XDG_CACHE_HOME", "relative");
        qputenv("HOME", "/users/me");
        QCOMPARE(data_home(), fs::path("/xdg/data/qlora-studio"));
        QCOMPARE(cache_home(), fs::path("/users/me/.cache/qlora-studio"));
        qunsetenv("QLORA_RESOURCES");
        QCOMPARE(resources_folder(), fs::path(QLORA_SOURCE_DIR) / "resources");
        QVERIFY(fs::exists(executable_folder() / "test_hub"));
    }

    void an_empty_home_has_the_known_model_which_is_not_there() {
        auto models = hub::models();
        QCOMPARE(models.size(), 2u);
        QCOMPARE(models[0].id, "smollm2-135m");
        QCOMPARE(models[1].id, "all-minilm-l6-v2");
        for (const auto& model : models) QVERIFY(!model.available && model.path.empty());
        QVERIFY(hub::datasets().empty());
        QVERIFY(QString::fromStdString(message_of("smollm2-135m")).contains("./dev setup"));
    }

    void ready_recipes_name_models_and_data_of_the_catalogue() {
        qunsetenv("QLORA_RESOURCES");
        const auto recipes = hub::recipes();
        QVERIFY(recipes.size() >= 3);
        for (const auto& ready : recipes) {
            const qlora::Json json = qlora::read_json_file(ready.path);
            QVERIFY(!ready.name.empty() && ready.name == json["name"]);
            QVERIFY(std::ranges::any_of(hub::models(), [&](const auto& model) { return model.id == json["model"]; }));
        }
    }

    void prepared_models_and_the_users_own_are_listed() {
        write("wheels/SmolLM2.gguf", "GGUF...");
        create_folders(root() / "prepared" / "models");
        fs::create_symlink("../../wheels/SmolLM2.gguf", root() / "prepared/models/smollm2-135m.gguf");
        fs::create_symlink("nowhere", root() / "prepared/models/broken.gguf");
        write("home/models/mine/config.json", "{}");
        write("home/models/mine/model.safetensors", "1234");
        write("home/models/notes.txt");
        write("home/models/no-model/readme.md");
        write("home/models/.hidden.gguf");
        auto models = hub::models();
        QCOMPARE(models.size(), 3u);
        QVERIFY(models[0].available && !models[1].available);
        QCOMPARE(models[0].name, "SmolLM2 135M Instruct");
        QCOMPARE(models[0].path, root() / "wheels/SmolLM2.gguf");
        QCOMPARE(models[0].bytes, 7);
        QCOMPARE(models[2].id, "mine");
        QCOMPARE(models[2].bytes, 6);
        QCOMPARE(hub::resolve_model("mine"), root() / "home/models/mine");
        QCOMPARE(hub::resolve_model("smollm2-135m"), root() / "wheels/SmolLM2.gguf");
    }

    void a_path_goes_before_a_name_and_is_made_absolute() {
        write("work/local.gguf");
        QDir::setCurrent(QString::fromStdString((root() / "work").string()));
        QCOMPARE(hub::resolve_model("local.gguf"), root() / "work/local.gguf");
        QCOMPARE(hub::resolve_model("./../work/local.gguf"), root() / "work/local.gguf");
    }

    void what_is_no_model_is_refused_by_name() {
        write("home/models/mine.gguf");
        write("empty/readme.md");
        write("weights.safetensors");
        QString unknown = QString::fromStdString(message_of("smolm2"));
        QVERIFY2(
            unknown.contains("model.not_found") && unknown.contains("\"smolm2\"") && unknown.contains("mine"),
            qPrintable(unknown));
        QVERIFY(QString::fromStdString(message_of(root() / "empty")).contains("config.json"));
        QVERIFY(QString::fromStdString(message_of(root() / "weights.safetensors")).contains("folder"));
        QVERIFY(QString::fromStdString(message_of("")).contains("nothing"));
        QVERIFY(QString::fromStdString(message_of("/dev/zero")).contains("model.not_found"));
    }

    void data_sets_come_from_the_shipped_list_and_the_home() {
        write("resources/datasets/catalogue.json", R"([
            {"id": "banking", "name": "Banking support", "file": "banking.jsonl", "description": "d", "rows": 412,
             "layout": "prompt/completion", "licence": "CC0-1.0", "held_out": "banking-held-out.jsonl"},
            {"id": "movies", "name": "Movies", "file": "movies.csv", "prepared": true, "held_out": null}])");
        write("resources/datasets/banking.jsonl");
        write("resources/datasets/banking-held-out.jsonl");
        write("home/datasets/banking.csv");
        write("home/datasets/own.parquet");
        write("home/datasets/picture.png");
        auto data = hub::datasets();
        QCOMPARE(data.size(), 4u);
        QCOMPARE(data[0].rows, 412);
        QCOMPARE(data[0].held_out, root() / "resources/datasets/banking-held-out.jsonl");
        QVERIFY(data[0].available && !data[1].available && data[1].path.empty());
        QCOMPARE(data[2].id, "banking.csv");
        QCOMPARE(data[3].id, "own");
        QCOMPARE(hub::resolve_data("banking"), root() / "resources/datasets/banking.jsonl");
        QVERIFY(QString::fromStdString(message_of("movies", false)).contains("./dev setup"));
        write("prepared/datasets/movies.csv");
        QCOMPARE(hub::resolve_data("movies"), root() / "prepared/datasets/movies.csv");
        QVERIFY(QString::fromStdString(message_of("nothing", false)).contains("banking"));
        QVERIFY(QString::fromStdString(message_of(root(), false)).contains("folder"));
    }

    void a_broken_list_is_named() {
        write("resources/datasets/catalogue.json", R"([{"id": 3}])");
        try {
            hub::datasets();
            QFAIL("accepted");
        } catch (const Error& error) {
            QCOMPARE(error.code(), "json.field");
            QVERIFY(QString(error.what()).contains("catalogue.json"));
        }
    }
};

QTEST_GUILESS_MAIN(HubTest)
#include "hub_test.moc"
