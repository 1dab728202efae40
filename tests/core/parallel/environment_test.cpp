// What the variables of a launcher are read as, and what is said of wrong ones.
#include "tests/torch_tests.h"

#include "core/parallel/environment.h"

using namespace qlora;

namespace {

constexpr const char* names[] = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
                                 "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RESTART_COUNT"};

void set(const QString& assignments) {
    for (const char* name : names) qunsetenv(name);
    for (const QString& assignment : assignments.split(' ', Qt::SkipEmptyParts)) {
        const auto parts = assignment.split('=');
        qputenv(qPrintable(parts[0]), parts[1].toUtf8());
    }
}

}  // namespace

class EnvironmentTest : public QObject {
    Q_OBJECT

  private slots:
    void cleanup() { set(""); }

    void without_a_launcher_a_process_is_alone() {
        set("");
        QVERIFY(parallel::read_environment().alone());
        set("MASTER_ADDR=localhost MASTER_PORT=1234 LOCAL_RANK=3");
        QVERIFY(parallel::read_environment().alone());
        set("RANK=0 WORLD_SIZE=1");
        QVERIFY(parallel::read_environment().alone());
    }

    void a_launchers_variables_are_read() {
        set("RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=10.0.0.7 MASTER_PORT=29500");
        const auto e = parallel::read_environment();
        QCOMPARE(e.rank, 5);
        QCOMPARE(e.size, 8);
        QCOMPARE(e.local_rank, 1);
        QCOMPARE(e.local_size, 4);
        QCOMPARE(e.address, "10.0.0.7");
        QCOMPARE(e.port, 29500);
        QVERIFY(!e.served && e.prefix.empty());
        for (const auto& [name, value] : parallel::variables(e)) QCOMPARE(qgetenv(name.c_str()).toStdString(), value);
    }

    void torchruns_agent_listens_in_place_of_rank_0() {
        set("RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=29500 TORCHELASTIC_USE_AGENT_STORE=True TORCHELASTIC_RESTART_COUNT=2");
        const auto e = parallel::read_environment();
        QVERIFY(e.served);
        QCOMPARE(e.prefix, "/worker/attempt_2");
    }

    void a_wrong_variable_is_named_data() {
        QTest::addColumn<QString>("where");
        QTest::addColumn<QString>("got");
        const auto row = [](const char* variables, const char* where, const char* got) { QTest::newRow(variables) << where << got; };
        row("RANK=0", "WORLD_SIZE", "nothing");
        row("WORLD_SIZE=2", "RANK", "nothing");
        row("RANK=2 WORLD_SIZE=2", "RANK", "\"2\"");
        row("RANK=-1 WORLD_SIZE=2", "RANK", "\"-1\"");
        row("RANK=one WORLD_SIZE=2", "RANK", "\"one\"");
        row("RANK=1x WORLD_SIZE=2", "RANK", "\"1x\"");
        row("RANK=0 WORLD_SIZE=0", "WORLD_SIZE", "\"0\"");
        row("RANK=0 WORLD_SIZE=99999999999999", "WORLD_SIZE", "\"99999999999999\"");
        row("RANK=0 WORLD_SIZE=2", "MASTER_ADDR", "nothing");
        row("RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost", "MASTER_PORT", "nothing");
        row("RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=65536", "MASTER_PORT", "\"65536\"");
        row("RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=29500 LOCAL_RANK=2", "LOCAL_RANK", "\"2\"");
        row("RANK=0 WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=29500 LOCAL_WORLD_SIZE=3", "LOCAL_WORLD_SIZE", "\"3\"");
    }
    void a_wrong_variable_is_named() {
        QFETCH(QString, where);
        QFETCH(QString, got);
        set(QTest::currentDataTag());
        try {
            parallel::read_environment();
            QFAIL("it was taken");
        } catch (const Error& error) {
            QCOMPARE(error.code(), "parallel.environment");
            QCOMPARE(error.where(), where.toStdString());
            QCOMPARE(error.exit_code(), 2);
            QVERIFY2(error.message().find("got " + got.toStdString()) != std::string::npos, error.what());
            QVERIFY(!error.hint().empty());
        }
    }
};

QTEST_GUILESS_MAIN(EnvironmentTest)
#include "environment_test.moc"
