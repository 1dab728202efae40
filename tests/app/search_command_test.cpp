// qlora search and qlora lr-range as their users start them, on a tiny model.
#include <signal.h>

#include <QtTest>

#include "core/base/file.h"
#include "core/base/json.h"
#include "tests/app/program.h"

using namespace qlora;
using namespace qlora::tests;
namespace fs = std::filesystem;

class SearchCommandTest : public QObject {
    Q_OBJECT
    QTemporaryDir folder_;

    static constexpr int patience = 300000;

    QString path(const char* name) const { return folder_.filePath(name); }

    auto start(const QStringList& arguments) const { return start_program(folder_, arguments); }
    auto run(const QStringList& arguments, int& exit) const { return run_program(folder_, arguments, exit, patience); }
    Json state(const char* search) const { return read_json_file((path(search) + "/state.json").toStdString()); }
    static QStringList vary() { return {"--vary", "lr=1e-4..1e-1:log", "--vary", "method.rank=2,4", "--runs", "5"}; }

  private slots:
    void initTestCase() {
        std::string rows;
        for (int i = 0; i < 40; ++i)
            rows += Json{{"prompt", "What is number " + std::to_string(i) + "?"}, {"completion", "It is " + std::to_string(i % 7) + " of course."}}.dump() + "\n";
        write_atomically(path("rows.jsonl").toStdString(), rows);
        const Json recipe = {{"model", QLORA_SOURCE_DIR "/tests/golden/tiny_llama/plain"},
                             {"data", {{"train", "rows.jsonl"}, {"max_length", 64}}},
                             {"train", {{"epochs", 3}, {"batch_size", 4}, {"checkpoint_every", 3}}},
                             {"evaluate", {{"every", 9}, {"samples", 0}}}};
        write_atomically(path("recipe.json").toStdString(), recipe.dump());
    }

    void one_command_finds_a_recipe_that_opens() {
        int exit = -1;
        const auto events = run(QStringList{"search", "recipe.json", "--out", "first"} + vary(), exit);
        QCOMPARE(exit, 0);
        QCOMPARE(of_kind(events, "trial_started").size(), std::size_t(5));
        QCOMPARE(of_kind(events, "trial_finished").size(), std::size_t(5));
        QVERIFY(of_kind(events, "step").front().contains("trial"));
        QVERIFY(!of_kind(events, "best").empty());
        const Json& last = events.back();
        QCOMPARE(last["event"].get<std::string>(), std::string("search_finished"));
        QCOMPARE(last["best"].get<std::string>(), path("first/best.json").toStdString());
        const auto plan = run({"plan", "first/best.json"}, exit);
        QCOMPARE(exit, 0);
        const auto again = run({"search", "first"}, exit);  // nothing is left to do
        QCOMPARE(exit, 0);
        QVERIFY(of_kind(again, "trial_started").empty());
        QCOMPARE(again.back()["winner"], last["winner"]);
    }

    void killed_at_any_moment_it_goes_on_and_ends_the_same() {
        int exit = -1;
        int kills = 0;
        QString what = "recipe.json";
        for (int wait = 40;; wait += 35) {  // a little later each time: in the middle of other things
            QVERIFY(kills < 200);
            const bool begun = QFile::exists(path("killed/search.json"));
            auto process = start(begun ? QStringList{"search", "killed"} : QStringList{"search", "recipe.json", "--out", "killed"} + vary());
            if (!begun) fs::remove_all(path("killed").toStdString());  // killed before it was one
            if (process->waitForFinished(wait)) {
                QVERIFY2(process->exitCode() == 0, process->readAllStandardOutput().right(400));
                break;
            }
            ::kill(static_cast<pid_t>(process->processId()), SIGKILL);
            process->waitForFinished();
            ++kills;
        }
        qInfo("killed %d times", kills);
        QVERIFY(kills > 3);
        const Json whole = state("first"), parts = state("killed");
        QCOMPARE(parts["trials"].size(), std::size_t(5));
        for (std::size_t i = 0; i < 5; ++i) {
            QCOMPARE(parts["trials"][i]["status"].get<std::string>(), std::string("completed"));
            QVERIFY(parts["trials"][i]["values"] == whole["trials"][i]["values"]);
            QVERIFY(parts["trials"][i]["rungs"] == whole["trials"][i]["rungs"]);  // to the last bit
        }
        run({"search", "killed"}, exit);
        QVERIFY(read_file((path("killed/best.json")).toStdString()) == read_file(path("first/best.json").toStdString()));
    }

    void control_c_ends_it_and_naming_the_folder_goes_on() {
        auto process = start(QStringList{"search", "recipe.json", "--out", "stopped", "--strategy", "halving", "--eta", "2"} + vary());
        QByteArray out;
        while (!out.contains("\"event\":\"step\"") && process->waitForReadyRead(patience)) out += process->readAllStandardOutput();
        ::kill(static_cast<pid_t>(process->processId()), SIGINT);
        QVERIFY(process->waitForFinished(patience));
        QCOMPARE(process->exitCode(), 130);
        int exit = -1;
        auto answer = run({"search", "stopped", "--runs", "9"}, exit);
        QCOMPARE(exit, 2);
        QCOMPARE(answer.back()["error"]["code"].get<std::string>(), std::string("usage"));
        answer = run({"search", "stopped"}, exit);
        QCOMPARE(exit, 0);
        QCOMPARE(answer.back()["completed"].get<int>(), 1);
        QCOMPARE(answer.back()["left"].get<int>(), 4);
    }

    void all_that_is_wrong_is_told_at_once() {
        int exit = -1;
        const auto answer = run({"search", "recipe.json", "--vary", "lr=1e-2..1e-4:log", "--vary", "method.rank=4,many", "--vary", "fly=1", "--metric", "fun"}, exit);
        QCOMPARE(exit, 2);
        const auto message = answer.back()["error"]["message"].get<std::string>();
        for (const char* key : {"space.lr.high", "space.method.rank", "space.fly", "metric"}) QVERIFY2(message.find(key) != std::string::npos, message.c_str());
        QCOMPARE(run({"search", "recipe.json"}, exit).back()["error"]["code"].get<std::string>(), std::string("search.space"));
    }

    void the_range_test_leaves_its_curve_and_nothing_else() {
        int exit = -1;
        const auto lines = run({"lr-range", "recipe.json", "--from", "1e-5", "--to", "1", "--steps", "40", "--out", "rates"}, exit);
        QCOMPARE(exit, 0);
        const Json curve = read_json_file(path("rates/lr-range.json").toStdString());
        QCOMPARE(of_kind(lines, "rate").size(), curve["points"].size());
        QVERIFY(curve["points"].size() >= 20);
        QVERIFY(lines.back()["suggested"].get<double>() > 1e-5);
        QCOMPARE(QDir(path("rates")).entryList(QDir::Files | QDir::Dirs | QDir::NoDotAndDotDot), QStringList({"lr-range.csv", "lr-range.json"}));
        QVERIFY(!QDir(path("home")).exists("runs/recipe-1"));
    }
};

QTEST_GUILESS_MAIN(SearchCommandTest)
#include "search_command_test.moc"
