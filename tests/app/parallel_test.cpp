// Training in several processes, as its users start it: the losses of one process, and what a lost process leaves.
#include <signal.h>

#include <QProcess>
#include <QTemporaryDir>
#include <QtTest>
#include <cmath>
#include <cstring>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/formats/safetensors.h"
#include "core/parallel/network.h"

using namespace qlora;
namespace fs = std::filesystem;

namespace {

constexpr int patience = 300000;

// What `qlora train --json` told.
struct Told {
    int exit = -1;
    std::vector<Json> events;
    QByteArray errors;  // stderr

    std::vector<Json> of_kind(const char* kind) const {
        std::vector<Json> found;
        for (const Json& event : events)
            if (event.value("event", "") == kind) found.push_back(event);
        return found;
    }
    std::map<int, double> losses() const {
        std::map<int, double> all;
        for (const Json& step : of_kind("step")) all[step["step"].get<int>()] = step["loss"].get<double>();
        return all;
    }
    std::string reason() const { return events.empty() ? "nothing was told" : events.back().value("reason", ""); }
    std::string code() const { return events.empty() ? "nothing was told" : events.back()["error"].value("code", ""); }
};

class Program {
  public:
    explicit Program(const QString& home) { environment_.insert("QLORA_HOME", home); }
    void set(const char* name, const QString& value) { environment_.insert(name, value); }
    void start(const QStringList& arguments) {
        process_.setProcessEnvironment(environment_);
        process_.start(QLORA_PROGRAM, QStringList{"train"} + arguments + QStringList{"--json", "--threads", "1"});
    }
    // Reads until step `step` has been told.
    bool reach(int step) {
        const QByteArray wanted = "\"event\":\"step\",\"step\":" + QByteArray::number(step) + ",";
        while (!out_.contains(wanted))
            if (!process_.waitForReadyRead(patience)) return false;
            else out_ += process_.readAllStandardOutput();
        return true;
    }
    pid_t id() const { return static_cast<pid_t>(process_.processId()); }
    // The processes that it started and that still run.
    std::vector<pid_t> children() const {
        std::vector<pid_t> found;
        for (const auto& entry : fs::directory_iterator("/proc")) {
            const auto id = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
            if (id > 0 && parent(id) == this->id()) found.push_back(id);
        }
        return found;
    }
    // Whether it runs: one that has ended and waits to be collected does not.
    static bool runs(pid_t id) { return parent(id) >= 0; }
    Told finish() {
        Told told;
        if (!process_.waitForFinished(patience)) process_.kill();
        out_ += process_.readAllStandardOutput();
        told.errors = process_.readAllStandardError();
        told.exit = process_.exitStatus() == QProcess::NormalExit ? process_.exitCode() : -1;
        for (const QByteArray& line : out_.split('\n'))
            if (!line.isEmpty() && (told.exit >= 0 || line.endsWith('}'))) told.events.push_back(parse_json(line.toStdString(), "stdout"));
        return told;
    }

  private:
    // -1: there is no such process, or it has ended.
    static pid_t parent(pid_t id) {
        QFile file(QString("/proc/%1/stat").arg(id));
        if (!file.open(QIODevice::ReadOnly)) return -1;
        const QByteArray text = file.readAll();
        const auto fields = text.mid(text.lastIndexOf(')') + 2).split(' ');
        return fields.size() < 2 || fields[0] == "Z" || fields[0] == "X" ? -1 : fields[1].toInt();
    }

    QProcessEnvironment environment_ = QProcessEnvironment::systemEnvironment();
    QProcess process_;
    QByteArray out_;
};

// The largest difference of two adapters' numbers.
double difference(const fs::path& a, const fs::path& b) {
    const formats::SafetensorsFile first(a / "adapter_model.safetensors"), second(b / "adapter_model.safetensors");
    double most = first.tensors().size() == second.tensors().size() ? 0 : INFINITY;
    for (const auto& tensor : first.tensors()) {
        const auto& other = second.at(tensor.name);
        for (std::size_t at = 0; at < tensor.data.size(); at += sizeof(float)) {
            float x, y;
            std::memcpy(&x, tensor.data.data() + at, sizeof x);
            std::memcpy(&y, other.data.data() + at, sizeof y);
            most = std::max(most, std::abs(static_cast<double>(x) - y));
        }
    }
    return most;
}

}  // namespace

class ParallelTest : public QObject {
    Q_OBJECT
    QTemporaryDir folder_;
    int serial_ = 0;

    QString path(const QString& name) const { return folder_.filePath(name); }
    QString fresh() { return path(QString("run-%1").arg(serial_++)); }

    Told train(const QString& recipe, const QString& out, const QStringList& more = {}) {
        Program one(path("home"));
        one.start(QStringList{path(recipe), "--out", out} + more);
        return one.finish();
    }

    static void compare(const std::map<int, double>& one, const std::map<int, double>& other, double tolerance) {
        for (const auto& [step, loss] : other) {
            QVERIFY(one.count(step) == 1);
            QVERIFY2(std::abs(loss - one.at(step)) <= tolerance * one.at(step),
                     qPrintable(QString("step %1: %2 and %3").arg(step).arg(loss, 0, 'g', 10).arg(one.at(step), 0, 'g', 10)));
        }
    }

  private slots:
    void initTestCase() {
        std::string rows, labelled;
        for (int i = 0; i < 44; ++i) {
            rows += "{\"prompt\": \"What is number " + std::to_string(i) + "?\", \"completion\": \"It is " + std::to_string(i % 7) + " of course" +
                    std::string(static_cast<std::size_t>(i % 5), '!') + "\"}\n";
            labelled += "{\"text\": \"Row number " + std::to_string(i * 7) + "\", \"label\": \"" + (i * i % 7 < 3 ? "good" : "bad") + "\"}\n";
        }
        write_atomically(path("rows.jsonl").toStdString(), rows);
        write_atomically(path("labelled.jsonl").toStdString(), labelled);
        // fp32: rounding to bf16 would make more of the order of sums than there is. 38 rows by 4: the last step has two.
        OrderedJson recipe = {{"model", QLORA_SOURCE_DIR "/tests/golden/tiny_llama/plain"},
                              {"compute", "fp32"},
                              {"r", 4},
                              {"output", "unused"},
                              {"data", {{"train", "rows.jsonl"}, {"max_length", 64}, {"validation_fraction", 0.14}}},
                              {"evaluate", {{"every", 5}, {"samples", 1}, {"max_tokens", 4}}},
                              {"train", {{"epochs", 2}, {"batch_size", 4}, {"learning_rate", 5e-3}, {"checkpoint_every", 4}}}};
        write_atomically(path("recipe.json").toStdString(), recipe.dump());
        OrderedJson classify = recipe;
        classify["task"] = "classification";
        classify["data"]["train"] = "labelled.jsonl";
        write_atomically(path("classify.json").toStdString(), classify.dump());
        // Long enough that the reader of its steps is never behind its end: what it tells of 600 steps is more than a pipe holds.
        recipe["train"] = {{"max_steps", 600}, {"batch_size", 4}, {"learning_rate", 1e-3}, {"checkpoint_every", 20}};
        recipe["evaluate"] = {{"every", 0}, {"samples", 0}};
        write_atomically(path("long.json").toStdString(), recipe.dump());
    }

    void several_processes_give_the_losses_of_one_data() {
        QTest::addColumn<QString>("recipe");
        QTest::addColumn<int>("processes");
        QTest::addColumn<QStringList>("settings");
        QTest::addColumn<double>("tolerance");
        const auto row = [](const char* name, const char* recipe, int processes, const QStringList& settings, double tolerance = 1e-5) {
            QTest::newRow(name) << recipe << processes << settings << tolerance;
        };
        row("two", "recipe.json", 2, {});
        row("three, of which one has no row in the last step", "recipe.json", 3, {});
        row("accumulating single rows", "recipe.json", 2, {"--set", "train.batch_size=1", "--set", "train.accumulate=4"});
        row("packing", "recipe.json", 2, {"--set", "data.packing=true", "--set", "train.batch_size=1", "--set", "train.accumulate=2"});
        row("moments in 8 bit", "recipe.json", 2, {"--set", "train.optimizer=adamw-8bit"}, 1e-3);  // rounding again
        row("a trained classifier", "classify.json", 2, {});
    }
    void several_processes_give_the_losses_of_one() {
        QFETCH(QString, recipe);
        QFETCH(int, processes);
        QFETCH(QStringList, settings);
        QFETCH(double, tolerance);
        const QString one_run = fresh(), all_run = fresh();
        const Told one = train(recipe, one_run, settings);
        const Told all = train(recipe, all_run, settings + QStringList{"--processes", QString::number(processes)});
        QCOMPARE(one.exit, 0);
        QVERIFY2(all.exit == 0, all.errors.constData());
        QCOMPARE(all.of_kind("loaded").front()["processes"].get<int>(), processes);
        QCOMPARE(one.losses().size(), all.losses().size());
        compare(one.losses(), all.losses(), tolerance);
        const auto a = one.of_kind("evaluation"), b = all.of_kind("evaluation");
        QCOMPARE(a.size(), b.size());
        for (std::size_t i = 0; i < a.size(); ++i) {
            QVERIFY(std::abs(a[i]["loss"].get<double>() - b[i]["loss"].get<double>()) <= tolerance * a[i]["loss"].get<double>());
            QCOMPARE(a[i]["best"].get<bool>(), b[i]["best"].get<bool>());
            QVERIFY(a[i]["samples"] == b[i]["samples"]);
            if (recipe == "classify.json") QVERIFY(a[i]["metrics"] == b[i]["metrics"]);
        }
        const auto first = one.of_kind("step"), second = all.of_kind("step");
        for (std::size_t i = 0; i < first.size(); ++i)
            for (const char* count : {"tokens", "trained_tokens", "epoch"}) QVERIFY(first[i][count] == second[i][count]);
        const double apart = difference(one_run.toStdString() + "/adapter", all_run.toStdString() + "/adapter");
        QVERIFY2(apart < 100 * tolerance, qPrintable(QString::number(apart)));
        QVERIFY2(all.errors.isEmpty(), all.errors.constData());
    }

    void dropout_has_other_masks_in_each_process() {
        const QStringList dropout{"--set", "method.dropout=0.5"};
        const auto one = train("recipe.json", fresh(), dropout).losses();
        const auto two = train("recipe.json", fresh(), dropout + QStringList{"--processes", "2"}).losses();
        const auto again = train("recipe.json", fresh(), dropout + QStringList{"--processes", "2"}).losses();
        QCOMPARE(two.size(), one.size());
        QVERIFY(two != one);
        QVERIFY(two == again);
    }

    void a_run_is_gone_on_with_in_another_number_of_processes() {
        const Told whole = train("recipe.json", fresh());
        const QString run = fresh();
        Program two(path("home"));
        two.start({path("recipe.json"), "--out", run, "--processes", "2"});
        QVERIFY(two.finish().exit == 0);
        for (const char* later : {"16", "20"}) fs::remove_all((run + "/checkpoints/step-" + later).toStdString());
        Told resumed;
        {
            Program one(path("home"));
            one.start({"--resume", run});
            resumed = one.finish();
        }
        QVERIFY2(resumed.exit == 0, resumed.errors.constData());
        compare(whole.losses(), resumed.losses(), 1e-5);
    }

    void a_process_that_is_killed_ends_the_run_with_a_checkpoint() {
        const auto whole = train("long.json", fresh()).losses();
        QCOMPARE(whole.size(), 600u);
        const QString run = fresh();
        Program two(path("home"));
        two.start({path("long.json"), "--out", run, "--processes", "2"});
        QVERIFY(two.reach(30));
        const auto children = two.children();
        QCOMPARE(children.size(), 1u);
        ::kill(children.front(), SIGKILL);
        const Told told = two.finish();
        QCOMPARE(told.exit, 1);
        QCOMPARE(told.code(), "parallel.lost");
        QVERIFY2(told.errors.contains("process 1 was ended by signal 9"), told.errors.constData());
        const int done = told.losses().rbegin()->first;
        QVERIFY(done >= 30 && done < 600);
        QVERIFY(fs::exists((run + QString("/checkpoints/step-%1/state.json").arg(done)).toStdString()));

        Program one(path("home"));
        one.start({"--resume", run});
        const Told resumed = one.finish();
        QVERIFY2(resumed.exit == 0, resumed.errors.constData());
        QCOMPARE(resumed.losses().begin()->first, done + 1);
        QCOMPARE(resumed.losses().rbegin()->first, 600);
        compare(whole, told.losses(), 1e-5);
        compare(whole, resumed.losses(), 1e-5);
    }

    void when_the_first_process_is_killed_the_others_end_and_its_checkpoints_stand() {
        const QString run = fresh();
        Program three(path("home"));
        three.start({path("long.json"), "--out", run, "--processes", "3"});
        QVERIFY(three.reach(30));
        const auto children = three.children();
        QCOMPARE(children.size(), 2u);
        ::kill(three.id(), SIGKILL);
        const Told told = three.finish();
        QCOMPARE(told.exit, -1);
        for (const auto child : children) QTRY_VERIFY_WITH_TIMEOUT(!Program::runs(child), 60000);

        Program two(path("home"));
        two.start({"--resume", run, "--processes", "2"});
        const Told resumed = two.finish();
        QVERIFY2(resumed.exit == 0, resumed.errors.constData());
        const int first = resumed.losses().begin()->first;
        QVERIFY(first >= 21 && first % 20 == 1);
        QCOMPARE(resumed.losses().rbegin()->first, 600);
        compare(resumed.losses(), [&] {
            std::map<int, double> both;  // done before the kill, and again
            for (const auto& [step, loss] : told.losses())
                if (step >= first) both[step] = loss;
            return both;
        }(), 1e-5);
    }

    void control_c_in_any_process_stops_all_with_a_checkpoint_data() {
        QTest::addColumn<bool>("of_first");
        QTest::newRow("the first") << true;
        QTest::newRow("another") << false;
    }
    void control_c_in_any_process_stops_all_with_a_checkpoint() {
        QFETCH(bool, of_first);
        const QString run = fresh();
        Program two(path("home"));
        two.start({path("long.json"), "--out", run, "--processes", "2"});
        QVERIFY(two.reach(30));
        ::kill(of_first ? two.id() : two.children().front(), SIGINT);
        const Told told = two.finish();
        QCOMPARE(told.exit, 130);
        QCOMPARE(told.reason(), "stopped_and_saved");
        const int done = told.events.back()["steps"].get<int>();
        QVERIFY(done >= 30 && done < 600);
        QVERIFY(fs::exists((run + QString("/checkpoints/step-%1/state.json").arg(done)).toStdString()));
        QVERIFY2(told.errors.isEmpty(), told.errors.constData());
    }

    void a_launcher_may_start_the_processes() {
        const Told one = train("recipe.json", fresh());
        const auto port = [] { return parallel::Listener().port(); }();
        const QString run = fresh();
        Program first(path("home")), second(path("home"));
        int rank = 0;
        for (Program* each : {&first, &second}) {
            each->set("RANK", QString::number(rank++));
            each->set("WORLD_SIZE", "2");
            each->set("MASTER_ADDR", "127.0.0.1");
            each->set("MASTER_PORT", QString::number(port));
        }
        second.start({path("recipe.json"), "--out", run});
        first.start({path("recipe.json"), "--out", run});
        const Told told = first.finish(), silent = second.finish();
        QVERIFY2(told.exit == 0, told.errors.constData());
        QVERIFY2(silent.exit == 0, silent.errors.constData());
        QVERIFY(silent.events.empty() && silent.errors.isEmpty());
        compare(one.losses(), told.losses(), 1e-5);
    }

    void a_wrong_environment_is_the_inputs_fault_data() {
        QTest::addColumn<QString>("variables");
        QTest::addColumn<QString>("says");
        QTest::addColumn<QStringList>("more");
        QTest::newRow("no address") << "RANK=0 WORLD_SIZE=2" << "MASTER_ADDR: expected" << QStringList{};
        QTest::newRow("a rank too high") << "RANK=2 WORLD_SIZE=2" << "RANK: expected a whole number from 0 to 1, got \"2\"" << QStringList{};
        QTest::newRow("both ways") << "RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=1" << "--processes" << QStringList{"--processes", "2"};
        QTest::newRow("none") << "" << "--processes" << QStringList{"--processes", "0"};
    }
    void a_wrong_environment_is_the_inputs_fault() {
        QFETCH(QString, variables);
        QFETCH(QString, says);
        QFETCH(QStringList, more);
        const QString run = fresh();
        Program one(path("home"));
        for (const QString& assignment : variables.split(' ', Qt::SkipEmptyParts))
            one.set(qPrintable(assignment.section('=', 0, 0)), assignment.section('=', 1));
        one.start(QStringList{path("recipe.json"), "--out", run} + more);
        const Told told = one.finish();
        QCOMPARE(told.exit, 2);
        const auto message = told.events.back()["error"]["message"].get<std::string>();
        QVERIFY2(message.find(says.toStdString()) != std::string::npos, message.c_str());
        QVERIFY(!fs::exists(run.toStdString()));
    }

    void processes_without_a_row_are_told_of() {
        const Told told = train("recipe.json", fresh(), {"--processes", "2", "--set", "train.batch_size=1", "--set", "train.max_steps=2"});
        QCOMPARE(told.exit, 0);
        bool idle = false;
        for (const Json& notice : told.of_kind("notice")) idle = idle || notice["code"] == "parallel.idle";
        QVERIFY(idle);
    }
};

QTEST_GUILESS_MAIN(ParallelTest)
#include "parallel_test.moc"
