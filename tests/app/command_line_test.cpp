#include <signal.h>

#include <QProcess>
#include <QTemporaryDir>
#include <QtTest>

#include "core/base/file.h"
#include "core/base/json.h"

using namespace qlora;
namespace fs = std::filesystem;

namespace {

struct Answer {
    int exit = -1;
    QByteArray out, err;

    Json json() const { return parse_json(out.toStdString(), "stdout"); }
    QList<QByteArray> lines() const { return out.trimmed().split('\n'); }
};

}  // namespace

class CommandLineTest : public QObject {
    Q_OBJECT
    std::unique_ptr<QTemporaryDir> folder_;

    QString path(const char* name) const { return folder_->filePath(name); }
    void write(const char* name, const std::string& text) const {
        write_atomically(path(name).toStdString(), text);
    }

    std::unique_ptr<QProcess> start(const QStringList& arguments, const QString& stdout_file = {}) const {
        auto process = std::make_unique<QProcess>();
        auto environment = QProcessEnvironment::systemEnvironment();
        environment.insert("QLORA_HOME", path("home"));
        environment.insert("QLORA_DEPS", QLORA_DEPS_DIR);
        process->setProcessEnvironment(environment);
        process->setWorkingDirectory(folder_->path());
        if (!stdout_file.isEmpty()) process->setStandardOutputFile(stdout_file);
        process->start(QLORA_PROGRAM, arguments);
        return process;
    }
    Answer run(const QStringList& arguments, const QString& stdout_file = {}) const {
        return finish(*start(arguments, stdout_file));
    }
    static Answer finish(QProcess& process) {
        if (!process.waitForFinished(120000)) process.kill();
        bool normal = process.exitStatus() == QProcess::NormalExit;
        return {normal ? process.exitCode() : -1, process.readAllStandardOutput(),
                process.readAllStandardError()};
    }
    static QString code(const Answer& answer) {
        Json json = answer.json();
        for (const char* key : {"code", "message", "where", "hint"})
            if (!json.at("error").contains(key)) return QString("no ") + key;
        return QString::fromStdString(json["error"]["code"].get<std::string>());
    }

  private slots:
    void init() { folder_ = std::make_unique<QTemporaryDir>(); }

    void a_wrong_command_or_flag_is_told_as_json_too() {
        for (const QStringList& arguments : {QStringList{"--json"},
                                             {"fly", "--json"},
                                             {"models", "--json", "--fly"},
                                             {"--json", "models", "--threads", "many"},
                                             {"models", "--json", "--device", "tpu"},
                                             {"models", "--json", "--threads", "-1"},
                                             {"tokenize", "--json"},
                                             {"runs", "show", "--json"},
                                             {"runs", "compare", "1", "--json"}}) {
            Answer answer = run(arguments);
            QVERIFY2(answer.exit == 2, qPrintable(arguments.join(' ')));
            QCOMPARE(code(answer), "usage");
            QVERIFY(answer.err.isEmpty());
        }
        Answer answer = run({"models", "--fly"});
        QCOMPARE(answer.exit, 2);
        QVERIFY(answer.out.isEmpty());
        QVERIFY(answer.err.contains("--fly"));
    }

    void help_and_version_are_answers() {
        QCOMPARE(run({"--help"}).exit, 0);
        QVERIFY(run({"--help"}).out.contains("tokenize"));
        QVERIFY(run({"tokenize", "--help"}).out.contains("--generation-prompt"));
        QVERIFY(run({"--version"}).out.startsWith("qlora "));
        QVERIFY(run({"--version", "--json"}).json().contains("version"));
    }

    void models_are_listed() {
        Answer answer = run({"models", "--json"});
        QCOMPARE(answer.exit, 0);
        QCOMPARE(answer.json()["models"][0]["id"].get<std::string>(), "smollm2-135m");
        QVERIFY(answer.json()["datasets"].is_array());
        QVERIFY(run({"models"}).out.contains("SmolLM2 135M Instruct"));
    }

    void runs_begin_with_none_and_an_unknown_one_is_named() {
        QCOMPARE(run({"runs", "--json"}).json()["runs"].size(), 0u);
        QCOMPARE(run({"runs", "list", "--json"}).json()["runs"].size(), 0u);
        Answer answer = run({"runs", "show", "nowhere", "--json"});
        QCOMPARE(answer.exit, 2);
        QCOMPARE(code(answer), "runs.not_found");
        QCOMPARE(run({"runs", "delete", "7"}).exit, 2);
    }

    void runs_of_the_home_are_shown_compared_and_deleted() {
        for (const char* rank : {"8", "64"}) {
            std::string folder = path("home/runs/").toStdString() + "rank-" + rank;
            create_folders(folder);
            write_atomically(folder + "/recipe.json",
                             std::string(R"({"model": "m", "data": {"train": "t"}, "r": )") + rank + "}");
            write_atomically(folder + "/events.jsonl",
                             R"({"event":"finished","reason":"completed","steps":3})"
                             "\n");
        }
        Json runs = run({"runs", "--json"}).json()["runs"];
        QCOMPARE(runs.size(), 2u);
        QCOMPARE(runs[0]["status"].get<std::string>(), "completed");
        Json shown = run({"runs", "show", "1", "--json"}).json();
        QVERIFY(shown["recipe"]["method"]["rank"].is_number());
        Json compared = run({"runs", "compare", "1", "2", "--json"}).json();
        QCOMPARE(compared["differences"].size(), 1u);
        QCOMPARE(compared["differences"]["method.rank"].size(), 2u);
        QVERIFY(run({"runs"}).out.contains("completed"));
        Answer answer = run({"runs", "delete", "1", "2", "--json"});
        QCOMPARE(answer.exit, 0);
        QCOMPARE(run({"runs", "--json"}).json()["runs"].size(), 0u);
        QVERIFY(!QFile::exists(path("home/runs/rank-8")));
    }

    void what_fails_while_running_exits_with_one() {
        write("home", "a file where the folder should be");
        Answer answer = run({"runs", "--json"});
        QCOMPARE(answer.exit, 1);
        QCOMPARE(code(answer), "file.folder");
        QCOMPARE(run({"models", "--json"}, "/dev/full").exit, 1);
    }

    void a_model_that_is_not_there_is_named() {
        Answer answer = run({"tokenize", "no/such/model", "--text", "x", "--json"});
        QCOMPARE(answer.exit, 2);
        QCOMPARE(code(answer), "model.not_found");
        QVERIFY(answer.json()["error"]["message"].get<std::string>().find("no/such/model") !=
                std::string::npos);
        write("broken.gguf", "GGUF");
        answer = run({"tokenize", "broken.gguf", "--text", "x", "--json"});
        QCOMPARE(answer.exit, 2);
        QVERIFY(answer.json()["error"]["message"].get<std::string>().find("broken.gguf") !=
                std::string::npos);
    }

    void tokens_of_a_text_a_file_and_a_chat() {
        if (!fs::exists(QLORA_DEPS_DIR "/models/smollm2-135m.gguf"))
            QSKIP("./dev setup has not prepared smollm2-135m");
        Answer answer = run({"tokenize", "smollm2-135m", "--text", "Hello world", "--json"});
        QCOMPARE(answer.exit, 0);
        QCOMPARE(answer.json()["ids"].dump(), "[19556,905]");
        QCOMPARE(answer.json()["tokens"].size(), 2u);

        write("lines.txt", "Hello world\n\n \nlast");
        answer = run({"tokenize", "smollm2-135m", "--file", path("lines.txt"), "--json"});
        QCOMPARE(answer.lines().size(), 4);
        QCOMPARE(parse_json(answer.lines()[0].toStdString(), "line")["ids"].dump(), "[19556,905]");
        QCOMPARE(parse_json(answer.lines()[1].toStdString(), "line")["ids"].dump(), "[]");

        write("chat.json", R"([{"role": "user", "content": "Hi"}])");
        answer = run({"tokenize", "smollm2-135m", "--chat", path("chat.json"), "--json"});
        QCOMPARE(answer.exit, 0);
        QVERIFY(answer.json()["text"].get<std::string>().ends_with("<|im_start|>user\nHi<|im_end|>\n"));
        answer =
            run({"tokenize", "smollm2-135m", "--chat", path("chat.json"), "--generation-prompt", "--json"});
        QVERIFY(answer.json()["text"].get<std::string>().ends_with("<|im_start|>assistant\n"));

        QCOMPARE(run({"tokenize", "smollm2-135m", "--json"}).exit, 2);
        QCOMPARE(run({"tokenize", "smollm2-135m", "--text", "a", "--file", "b", "--json"}).exit, 2);
        answer = run({"tokenize", "smollm2-135m", "--file", "missing.txt", "--json"});
        QCOMPARE(answer.exit, 2);
        QCOMPARE(code(answer), "file.not_found");
    }

    void control_c_stops_with_130() {
        if (!fs::exists(QLORA_DEPS_DIR "/models/smollm2-135m.gguf"))
            QSKIP("./dev setup has not prepared smollm2-135m");
        std::string line = "The quick brown fox jumps over the lazy dog.\n", text;
        while (text.size() < (std::size_t{32} << 20)) text += line;
        write("long.txt", text);
        for (int signal : {SIGINT, SIGTERM}) {
            auto process = start({"tokenize", "smollm2-135m", "--file", path("long.txt"), "--json"});
            QVERIFY(process->waitForReadyRead(30000));
            QElapsedTimer timer;
            timer.start();
            ::kill(static_cast<pid_t>(process->processId()), signal);
            QVERIFY(process->waitForFinished(10000));
            QVERIFY2(timer.elapsed() < 5000, "a second is promised, on an idle computer");
            QCOMPARE(process->exitStatus(), QProcess::NormalExit);
            QCOMPARE(process->exitCode(), 130);
            QVERIFY(process->readAllStandardOutput().trimmed().split('\n').last().contains("\"stopped\""));
        }
    }

    void words_from_a_file_cannot_steer_the_terminal() {
        Answer answer = run({"tokenize", "no\x1b[2Jsuch", "--text", "x"});
        QCOMPARE(answer.exit, 2);
        QVERIFY(!answer.err.contains('\x1b'));
    }

#ifdef QLORA_ENGINE
    void a_recipe_with_mistakes_is_refused_before_anything_starts() {
        write("wrong.json", R"({"model": "m", "method": {"rank": 0, "rnak": 3}, "precision": "nf5"})");
        for (const char* command : {"train", "plan", "evaluate"}) {
            Answer answer = run({command, path("wrong.json"), "--json"});
            QCOMPARE(answer.exit, 2);
            QCOMPARE(code(answer), "recipe.invalid");
            auto message = answer.json()["error"]["message"].get<std::string>();
            for (const char* part : {"wrong.json", "method.rank", "method.rnak", "precision", "data.train"})
                QVERIFY2(message.find(part) != std::string::npos, message.c_str());
        }
        QVERIFY(!QFile::exists(path("home/runs")) || QDir(path("home/runs")).isEmpty());
        write("right.json", R"({"model": "m", "data": {"train": "t"}})");
        QCOMPARE(code(run({"train", path("right.json"), "--set", "rank=0", "--json"})), "recipe.set");
        QCOMPARE(code(run({"train", path("right.json"), "--json"})), "model.not_found");
        QVERIFY(!QFile::exists(path("home/runs")) || QDir(path("home/runs")).isEmpty());
        QCOMPARE(code(run({"train", "--json"})), "usage");
        QCOMPARE(code(run({"train", "--resume", "nothing", "--json"})), "runs.not_found");
    }

    void flags_out_of_range_are_refused() {
        for (const QStringList& arguments :
             {QStringList{"generate", "m", "--prompt", "x", "--temperature", "nan"},
              {"generate", "m", "--prompt", "x", "--top-p", "0,5"},
              {"generate", "m", "--prompt", "x", "--precision", "nf5"},
              {"logits", "m", "--ids", "1,x", "--out", "o"},
              {"logits", "m", "--out", "o"},
              {"evaluate", "m", "--split", "all"}}) {
            Answer answer = run(arguments + QStringList{"--json"});
            QVERIFY2(answer.exit == 2, qPrintable(arguments.join(' ')));
            QCOMPARE(code(answer), "usage");
        }
    }

    void the_doctor_knows_the_machine() {
        Answer answer = run({"doctor", "--json"});
        QCOMPARE(answer.exit, 0);
        Json json = answer.json();
        QVERIFY(json["cores"].get<int>() > 0);
        QVERIFY(json["memory_bytes"].get<std::int64_t>() > 0);
        QVERIFY(json["devices"][0]["flops"].get<double>() > 1e8);
        QVERIFY(!json["libraries"]["torch"].get<std::string>().empty());
    }
#endif
};

QTEST_GUILESS_MAIN(CommandLineTest)
#include "command_line_test.moc"
