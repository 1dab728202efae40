// qlora quantize on the embedded model, as its users start it.
#include <QtTest>

#include "core/base/file.h"
#include "core/base/json.h"
#include "tests/app/program.h"

using namespace qlora;
using namespace qlora::tests;
namespace fs = std::filesystem;

class QuantizeCommandTest : public QObject {
    Q_OBJECT
    QTemporaryDir folder_;

    std::string path(const char* name) const { return folder_.filePath(name).toStdString(); }

    // The last line of the answer; the exit code goes to `exit`.
    Json run(const QStringList& arguments, int& exit) const { return run_program(folder_, arguments, exit, 600000, 2).back(); }
    std::string refusal(const QStringList& arguments) const {
        int exit = 0;
        const Json answer = run(QStringList{"quantize"} + arguments, exit);
        return exit == 2 ? answer["error"]["code"].get<std::string>() : "exit " + std::to_string(exit);
    }

  private slots:
    void initTestCase() {
        if (!fs::exists(QLORA_DEPS_DIR "/models/smollm2-135m.gguf")) QSKIP("./dev setup has not prepared smollm2-135m");
    }

    void levels_are_measured_written_and_load_back() {
        int exit = -1;
        const Json report = run({"quantize", "smollm2-135m", "--levels", "int8,nf4,int4", "--method", "search", "--out", "levels", "--measured-tokens", "512",
                                 "--calibration-tokens", "512"}, exit);
        QCOMPARE(exit, 0);
        QVERIFY(report == read_json_file(path("levels/report.json")));
        const double before = report["base"]["perplexity"];
        QVERIFY(before > 5 && before < 100);
        QCOMPARE(report["levels"].size(), std::size_t{3});
        for (const Json& level : report["levels"]) {
            QCOMPARE(level["matrices"].size(), std::size_t{210});
            for (const Json& matrix : level["matrices"]) QVERIFY(matrix["output_error"] > 0 && matrix["snr_db"] > 10);
            QVERIFY(level["perplexity"] > 0.95 * before && level["perplexity"] < 3 * before);
            QVERIFY(level["bytes"] > 0 && level["file_bytes"] >= level["bytes"]);
            QVERIFY(level["reading_tokens_per_second"] > 0 && level["writing_tokens_per_second"] > 0);
        }
        // Eight bits lose least.
        QVERIFY(std::abs(report["levels"][0]["perplexity"].get<double>() / before - 1) < 0.02);
        for (const int four : {1, 2}) QVERIFY(report["levels"][0]["perplexity"] < report["levels"][four]["perplexity"]);
        QCOMPARE(report["levels"][0]["method"], Json("absmax"));
        QCOMPARE(report["levels"][2]["method"], Json("search"));
        for (const char* level : {"int8", "nf4", "int4"}) {
            const Json info = run({"inspect", QString("levels/") + level}, exit);
            QCOMPARE(exit, 0);
            QVERIFY(info["quantization"].get<std::string>().ends_with(level));
            const Json told = run({"generate", QString("levels/") + level, "--prompt", "The capital of France is", "--max-tokens", "4"}, exit);
            QCOMPARE(exit, 0);
            QVERIFY(told["text"].get<std::string>().find("Paris") != std::string::npos);
        }
    }

    void a_tuned_model_is_quantized_with_its_adapter() {
        write_atomically(path("rows.jsonl"), "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"c\", \"completion\": \"d\"}\n{\"prompt\": \"e\", \"completion\": \"f\"}\n");
        write_atomically(path("recipe.json"), R"({"model": "smollm2-135m", "data": {"train": "rows.jsonl", "validation_fraction": 0.34},
            "train": {"max_steps": 2, "learning_rate": 0.01}, "output": "run"})");
        int exit = -1;
        run({"train", "recipe.json"}, exit);
        QCOMPARE(exit, 0);
        const QStringList arguments{"quantize", "smollm2-135m", "--levels", "int4", "--method", "gptq", "--block", "row", "--measured-tokens", "256", "--calibration-tokens", "256"};
        const Json tuned = run(arguments + QStringList{"--adapter", "run/adapter", "--out", "tuned"}, exit);
        QCOMPARE(exit, 0);
        const Json base = run(arguments + QStringList{"--out", "plain"}, exit);
        QCOMPARE(exit, 0);
        QVERIFY(tuned["base"]["perplexity"] != base["base"]["perplexity"]);
        QVERIFY(tuned["levels"][0]["perplexity"] != base["levels"][0]["perplexity"]);
        QCOMPARE(tuned["levels"][0]["matrices"][0]["block"], Json(576));
        QCOMPARE(tuned["adapter"], Json("run/adapter"));
    }

    void a_model_trained_to_be_rounded_is_exported_as_it_was_trained() {
        const Json data = {{"train", "rows.jsonl"}, {"validation_fraction", 0.34}};
        write_atomically(path("rows.jsonl"), "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"c\", \"completion\": \"d\"}\n{\"prompt\": \"e\", \"completion\": \"f\"}\n");
        write_atomically(path("aware.json"), Json{{"model", "smollm2-135m"}, {"precision", "bf16"}, {"compute", "fp32"}, {"data", data}, {"output", "aware"},
                                                  {"train", {{"max_steps", 3}, {"learning_rate", 1e-3}}}, {"qat", {{"precision", "int4"}, {"block", 0}, {"warmup", 0}}},
                                                  {"evaluate", {{"samples", 0}}}}.dump());
        int exit = -1;
        const double trained = of_kind(run_program(folder_, {"train", "aware.json"}, exit, 600000, 2), "finished").front()["metrics"]["validation_loss"];
        QCOMPARE(exit, 0);
        const QStringList arguments{"quantize", "smollm2-135m", "--adapter", "aware/adapter", "--levels", "int4", "--measured-tokens", "256"};
        QVERIFY(run(arguments + QStringList{"--block", "row", "--out", "exported"}, exit)["notices"].dump().find("not what the adapter was trained for") == std::string::npos);
        QVERIFY(run(arguments + QStringList{"--block", "64", "--out", "other"}, exit)["notices"].dump().find("not what the adapter was trained for") != std::string::npos);
        for (const auto& [folder, same] : {std::pair{"exported", true}, {"other", false}}) {
            write_atomically(path("measured.json"), Json{{"model", path(folder) + "/int4"}, {"precision", "native"}, {"compute", "fp32"}, {"data", data}}.dump());
            const double loss = run({"evaluate", "measured.json", "--split", "validation"}, exit)["metrics"]["loss"];
            QVERIFY2((std::abs(loss - trained) < 1e-4) == same, qPrintable(QString("%1 %2").arg(loss, 0, 'g', 9).arg(trained, 0, 'g', 9)));
        }
    }

    void what_makes_no_sense_is_refused_before_anything_is_done() {
        const QStringList usual{"smollm2-135m", "--out", "refused"};
        QCOMPARE(refusal(usual + QStringList{"--levels", "nf5"}), std::string("usage"));
        QCOMPARE(refusal(usual + QStringList{"--levels", "native"}), std::string("quantize.levels"));
        QCOMPARE(refusal(usual + QStringList{"--levels", "nf4,nf4"}), std::string("quantize.levels"));
        QCOMPARE(refusal(usual + QStringList{"--levels", "int8,bf16", "--method", "gptq"}), std::string("quantize.levels"));
        QCOMPARE(refusal(usual + QStringList{"--levels", "int4", "--block", "48"}), std::string("usage"));
        write_atomically(path("short.txt"), "Too short.");
        QCOMPARE(refusal(usual + QStringList{"--levels", "int4", "--method", "awq", "--text", "short.txt"}), std::string("quantize.text"));
        QVERIFY(!fs::exists(path("refused")));
        fs::create_directory(path("full"));
        write_atomically(path("full/diary.txt"), "Dear diary,");
        QCOMPARE(refusal({"smollm2-135m", "--levels", "nf4", "--out", "full"}), std::string("quantize.out"));
        if (fs::exists(path("levels/nf4")))
            QCOMPARE(refusal({"levels/nf4", "--levels", "int4", "--out", "levels/nf4/again"}), std::string("quantize.out"));
        QCOMPARE(read_file(path("full/diary.txt")), std::string("Dear diary,"));
    }
};

QTEST_GUILESS_MAIN(QuantizeCommandTest)
#include "quantize_command_test.moc"
