#include <signal.h>

#include <QtTest>

#include "core/base/file.h"
#include "core/base/json.h"
#include "tests/app/program.h"

using namespace qlora;
using namespace qlora::tests;

// One model, a handful of short rows: seconds, on an idle computer.
class TrainCommandTest : public QObject {
    Q_OBJECT
    QTemporaryDir folder_;

    static constexpr int patience = 600000;

    std::string path(const char* name) const { return folder_.filePath(name).toStdString(); }

    auto start(const QStringList& arguments) const { return start_program(folder_, arguments); }
    auto run(const QStringList& arguments, int& exit) const { return run_program(folder_, arguments, exit, patience); }
    static std::string code(const std::vector<Json>& lines) {
        return lines.back()["error"]["code"].get<std::string>();
    }

  private slots:
    void initTestCase() {
        if (!std::filesystem::exists(QLORA_DEPS_DIR "/models/smollm2-135m.gguf"))
            QSKIP("./dev setup has not prepared smollm2-135m");
        std::string rows;
        for (int i = 0; i < 24; ++i) {
            std::string number = std::to_string(i);
            Json row = {{"prompt", "Where is card " + number + "?"},
                        {"completion", "In box " + number + "."}};
            rows += row.dump() + "\n";
        }
        write_atomically(path("rows.jsonl"), rows);
        write_atomically(path("recipe.json"), R"({"model": "smollm2-135m", "r": 4, "output": "first",
            "data": {"train": "rows.jsonl", "max_length": 48}, "evaluate": {"every": 2, "max_rows": 1, "samples": 0},
            "train": {"max_steps": 3, "batch_size": 1, "checkpoint_every": 2}})");
    }

    void a_run_tells_each_step_and_is_entered_in_the_index() {
        int exit = -1;
        auto events = run({"train", path("recipe.json").c_str()}, exit);
        QCOMPARE(exit, 0);
        QCOMPARE(of_kind(events, "loaded").size(), 1u);
        auto steps = of_kind(events, "step");
        QCOMPARE(steps.size(), 3u);
        for (std::size_t i = 0; i < steps.size(); ++i) {
            QCOMPARE(steps[i]["step"].get<std::size_t>(), i + 1);
            QVERIFY(steps[i]["loss"].get<double>() > 0);
            for (const char* member : {"learning_rate", "grad_norm", "tokens", "tokens_per_second", "bytes"})
                QVERIFY2(steps[i].contains(member), member);
        }
        QVERIFY(!of_kind(events, "evaluation").empty() && !of_kind(events, "checkpoint").empty());
        QCOMPARE(events.back()["event"].get<std::string>(), "finished");
        QCOMPARE(events.back()["run"].get<std::string>(), path("first"));
        for (const char* file : {"recipe.json", "events.jsonl", "metrics.json", "adapter/adapter_config.json",
                                 "adapter/adapter_model.safetensors"})
            QVERIFY2(std::filesystem::exists(path("first") + "/" + file), file);

        Json shown = run({"runs", "show", path("first").c_str()}, exit).front();
        QCOMPARE(exit, 0);
        QCOMPARE(shown["status"].get<std::string>(), "completed");
        QCOMPARE(shown["steps_done"].get<int>(), 3);
        QCOMPARE(shown["recipe"]["method"]["rank"].get<int>(), 4);
    }

    void a_finished_run_is_neither_written_over_nor_changed() {
        int exit = -1;
        auto answer = run({"train", path("recipe.json").c_str()}, exit);
        QCOMPARE(exit, 2);
        QCOMPARE(code(answer), "runs.folder");
        answer = run({"train", "--resume", path("first").c_str(), "--set", "lr=1e-3"}, exit);
        QCOMPARE(exit, 2);
        QCOMPARE(code(answer), "resume.recipe");
        Json shown = run({"runs", "show", path("first").c_str()}, exit).front();
        QCOMPARE(shown["status"].get<std::string>(), "completed");
    }

    void control_c_saves_and_the_run_goes_on_from_there() {
        auto process = start({"train", path("recipe.json").c_str(), "--out", path("stopped").c_str(), "--set",
                              "train.max_steps=5"});
        QByteArray out;
        while (!out.contains("\"event\":\"step\"") && process->waitForReadyRead(patience))
            out += process->readAllStandardOutput();
        ::kill(static_cast<pid_t>(process->processId()), SIGINT);
        QVERIFY(process->waitForFinished(patience));
        out += process->readAllStandardOutput();
        QCOMPARE(process->exitCode(), 130);
        auto events = lines(out);
        QCOMPARE(events.back()["reason"].get<std::string>(), "stopped_and_saved");
        auto done = events.back()["steps"].get<int>();
        QVERIFY(done >= 1 && done < 5);

        int exit = -1;
        events = run({"train", "--resume", "2"}, exit);  // by its number in the index
        QCOMPARE(exit, 0);
        QCOMPARE(of_kind(events, "loaded").front()["first_step"].get<int>(), done);
        QCOMPARE(of_kind(events, "step").front()["step"].get<int>(), done + 1);
        QCOMPARE(events.back()["steps"].get<int>(), 5);
    }

    void a_broken_row_is_the_inputs_fault() {
        write_atomically(path("broken.jsonl"), "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\":\n");
        int exit = -1;
        auto answer = run({"train", path("recipe.json").c_str(), "--out", path("broken").c_str(), "--set",
                           ("data.train=" + path("broken.jsonl")).c_str()},
                          exit);
        QCOMPARE(exit, 2);
        auto message = answer.back()["error"]["message"].get<std::string>();
        QVERIFY2(message.find("broken.jsonl") != std::string::npos, message.c_str());
    }
};

QTEST_GUILESS_MAIN(TrainCommandTest)
#include "train_command_test.moc"
