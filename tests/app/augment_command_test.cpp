#include <QtTest>
#include <algorithm>

#include "core/base/file.h"
#include "tests/app/program.h"

using namespace qlora;
using namespace qlora::tests;

// What augmentation would make of rows, and a run that learns from just that.
class AugmentCommandTest : public QObject {
    Q_OBJECT
    QTemporaryDir folder_;

    std::string path(const char* name) const { return folder_.filePath(name).toStdString(); }
    auto run(const QStringList& arguments, int& exit) const { return run_program(folder_, arguments, exit, 600000); }

  private slots:
    void initTestCase() {
        if (!std::filesystem::exists(QLORA_DEPS_DIR "/models/smollm2-135m.gguf")) QSKIP("./dev setup has not prepared smollm2-135m");
        std::string rows;
        for (const char* prompt : {"I would like to change the address of my account.", "When does my new bank card arrive?", "The app closes itself when I open it.",
                                   "Please tell me how much a transfer to another country costs."})
            rows += Json{{"prompt", prompt}, {"completion", "We are looking into it."}}.dump() + "\n";
        write_atomically(path("rows.jsonl"), rows);
        write_atomically(path("recipe.json"), R"({"model": "smollm2-135m", "precision": "nf4", "r": 4, "output": "run", "data": {"train": "rows.jsonl",
            "max_length": 96, "validation_fraction": 0.25, "augment": {"paraphrases": 2, "similarity": 0.2}}, "evaluate": {"every": 0, "samples": 0},
            "train": {"max_steps": 1, "batch_size": 1}})");
    }

    void paraphrases_are_shown_before_they_are_learned_from() {
        int exit = -1;
        const auto shown = run({"augment", path("recipe.json").c_str(), "--rows", "10"}, exit);
        QCOMPARE(exit, 0);
        QCOMPARE(shown.size(), std::size_t(3));  // the fourth row is held out
        std::size_t used = 0, refused = 0;
        for (const Json& row : shown) {
            for (const Json& variant : row["variants"]) QCOMPARE(variant["change"].get<std::string>(), std::string("paraphrase"));
            for (const Json& one : row["refused"]) QVERIFY(!one["reason"].get<std::string>().empty());
            used += row["variants"].size();
            refused += row["refused"].size();
            QVERIFY(row["variants"].size() <= 2 && row["variants"].size() + row["refused"].size() <= 12);
        }
        QVERIFY2(used > 0 && used + refused >= 6, qPrintable(QString("%1 used, %2 refused").arg(used).arg(refused)));

        // One row alone is written the same; and what is kept is not written again.
        const auto kept = std::filesystem::path(path("home")) / "cache/paraphrases";
        std::filesystem::remove_all(kept);
        const auto alone = run({"augment", path("recipe.json").c_str(), "--rows", "1"}, exit);
        QCOMPARE(alone.front(), shown.front());
        std::filesystem::path file;
        for (const auto& entry : std::filesystem::directory_iterator(kept)) file = entry.path();
        std::string edited = read_file(file);
        const std::string first = alone.front()["variants"].empty() ? alone.front()["refused"][0]["text"] : alone.front()["variants"][0]["text"];
        const std::string text = "\"text\":" + Json(first).dump();
        edited.replace(edited.find(text), text.size(), "\"text\":\"!edited!\"");
        write_atomically(file, edited);
        QVERIFY(run({"augment", path("recipe.json").c_str(), "--rows", "1"}, exit).front().dump().find("!edited!") != std::string::npos);
        std::filesystem::remove_all(kept);

        const auto events = run({"train", path("recipe.json").c_str()}, exit);
        QCOMPARE(exit, 0);
        QCOMPARE(of_kind(events, "loaded").front()["train_rows"].get<std::size_t>(), 3 + used);
        const std::string record = read_file(path("run/paraphrases.jsonl"));
        for (const Json& row : shown)
            for (const Json& variant : row["variants"]) QVERIFY(record.find(variant["text"].dump()) != std::string::npos);
    }

    void a_model_that_only_reads_cannot_write_them() {
        if (!std::filesystem::exists(QLORA_DEPS_DIR "/models/all-minilm-l6-v2")) QSKIP("./dev setup has not prepared all-minilm-l6-v2");
        int exit = -1;
        const auto told = run({"augment", path("recipe.json").c_str(), "--set", "data.augment.paraphraser=all-minilm-l6-v2"}, exit);
        QCOMPARE(exit, 2);
        QCOMPARE(told.back()["error"]["code"].get<std::string>(), std::string("augment.paraphraser"));
    }
};

QTEST_GUILESS_MAIN(AugmentCommandTest)
#include "augment_command_test.moc"
