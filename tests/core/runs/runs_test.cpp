#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QtTest>
#include <cmath>
#include <functional>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/runs/process.h"
#include "core/runs/recorder.h"

using namespace qlora;
using namespace qlora::runs;
namespace fs = std::filesystem;

namespace {

recipe::Recipe some_recipe(const std::string& name = {}) {
    recipe::Recipe recipe;
    recipe.name = name;
    recipe.model = "smollm2-135m";
    recipe.data.train = "/data/support.jsonl";
    return recipe;
}

template <typename F>
std::string code_of(F f) {
    try {
        f();
    } catch (const Error& error) {
        return error.code();
    }
    return {};
}

// Another program doing `work`; it ends without running destructors, as a killed one does.
pid_t in_another_process(const std::function<void()>& work) {
    pid_t child = ::fork();
    if (child != 0) return child;
    try {
        work();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "child: %s\n", error.what());
        ::_exit(1);
    }
    ::_exit(0);
}

int exit_status(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

train::StepDone step(std::int64_t number, double loss) {
    train::StepDone event;
    event.step = number, event.loss = loss, event.seconds = 1, event.peak_bytes = 1000 * number;
    return event;
}

train::Loaded loaded(std::int64_t steps, std::int64_t first = 0) {
    train::Loaded event;
    event.steps = steps, event.first_step = first;
    return event;
}

train::Evaluated evaluated(std::int64_t number, double loss, bool best) {
    train::Evaluated event;
    event.step = number, event.loss = loss, event.best = best;
    return event;
}

train::Finished finished(const std::string& reason, std::int64_t steps) {
    train::Finished event;
    event.reason = reason, event.steps = steps, event.peak_bytes = 5000, event.seconds = 12;
    return event;
}

void write_run(const fs::path& folder, const std::vector<train::Event>& events) {
    create_folders(folder / "adapter");
    create_folders(folder / "checkpoints" / "step-2");
    write_atomically(folder / "recipe.json", to_json(some_recipe("Kept")).dump());
    std::string lines;
    for (const auto& event : events) lines += train::to_line(event) + "\n";
    write_atomically(folder / "events.jsonl", lines);
}

}  // namespace

class RunsTest : public QObject {
    Q_OBJECT
    std::unique_ptr<QTemporaryDir> folder_;
    fs::path home() const { return folder_->path().toStdString(); }

  private slots:
    void init() { folder_ = std::make_unique<QTemporaryDir>(); }

    void a_run_is_entered_followed_and_finished() {
        Store store(home());
        fs::path folder = store.new_folder("Support, first try!");
        QCOMPARE(folder.filename().string(), "support-first-try-1");
        std::int64_t id = store.begin(some_recipe(), folder);
        Run run = *store.find(std::to_string(id));
        QCOMPARE(run.status, "running");
        QCOMPARE(run.process, ::getpid());
        QCOMPARE(run.name, "smollm2-135m on support, nf4 LoRA r 16");
        QVERIFY(!run.train_loss && !run.resumable);

        store.progress(id,
                       {.steps_done = 5, .steps = 20, .train_loss = 2.5, .best_loss = 1.5, .best_step = 5});
        store.progress(id, {.steps_done = 9, .steps = 20, .train_loss = std::nan(""), .peak_bytes = 77});
        create_folders(folder / "checkpoints" / "step-9");
        write_atomically(folder / "checkpoints" / "step-9" / "x", "12345");
        store.finish(id, "stopped_and_saved");
        run = *store.find(folder.string());
        QCOMPARE(run.status, "stopped_and_saved");
        QCOMPARE(run.steps_done, 9);
        QCOMPARE(*run.train_loss, 2.5);
        QCOMPARE(*run.best_loss, 1.5);
        QCOMPARE(run.best_step, 5);
        QCOMPARE(run.peak_bytes, 77);
        QCOMPARE(run.folder_bytes, 5);
        QCOMPARE(run.process, 0);
        QVERIFY(run.resumable);
        store.rename(id, "Better");
        QCOMPARE(store.find("Better")->id, id);
        QVERIFY(!store.find("999"));
        QVERIFY(!store.find("no such"));
    }

    void the_newest_run_comes_first_and_a_resumed_one_keeps_its_entry() {
        Store store(home());
        auto first = store.begin(some_recipe("first"), home() / "a");
        store.finish(first, "completed");
        auto second = store.begin(some_recipe("second"), home() / "b");
        QCOMPARE(store.list().front().id, second);
        QCOMPARE(store.begin(some_recipe("first"), home() / "sub" / ".." / "a" / ""), first);
        QCOMPARE(store.list().size(), 2u);
        QCOMPARE(store.find(std::to_string(first))->status, "running");
    }

    void two_programs_write_at_once_and_nothing_is_lost() {
        constexpr int programs = 4, runs = 12;
        std::vector<pid_t> children;
        for (int program = 0; program < programs; ++program)
            children.push_back(in_another_process([&] {
                for (int i = 0; i < runs; ++i) {
                    Store store(home());  // opening, too, happens side by side
                    auto id = store.begin(some_recipe(), store.new_folder("run"));
                    for (int s = 1; s <= 10; ++s) store.progress(id, {.steps_done = s, .steps = 10});
                    store.finish(id, "completed");
                }
            }));
        for (pid_t child : children) QCOMPARE(exit_status(child), 0);
        Store store(home());
        auto list = store.list();
        QCOMPARE(list.size(), std::size_t{programs * runs});
        std::set<std::string> folders;
        for (const Run& run : list) {
            QCOMPARE(run.status, "completed");
            QCOMPARE(run.steps_done, 10);
            folders.insert(run.folder.string());
        }
        QCOMPARE(folders.size(), list.size());
    }

    void a_run_whose_program_was_killed_is_interrupted() {
        int ready[2];
        QCOMPARE(::pipe(ready), 0);
        pid_t child = in_another_process([&] {
            Store store(home());
            store.begin(some_recipe("killed"), home() / "killed");
            ssize_t ignored = ::write(ready[1], "x", 1);
            (void)ignored;
            ::pause();
        });
        char byte;
        QCOMPARE(::read(ready[0], &byte, 1), 1);
        Store store(home());
        auto mine = store.begin(some_recipe("mine"), home() / "mine");
        QVERIFY(store.recover().empty());  // both programs live
        QCOMPARE(code_of([&] { store.begin(some_recipe(), home() / "killed"); }), "runs.running");
        QCOMPARE(code_of([&] { store.remove(store.find("killed")->id); }), "runs.running");
        ::kill(child, SIGKILL);
        exit_status(child);
        auto interrupted = store.recover();
        QCOMPARE(interrupted.size(), 1u);
        QCOMPARE(interrupted[0].name, "killed");
        QCOMPARE(interrupted[0].status, "interrupted");
        QVERIFY(store.recover().empty());
        QCOMPARE(store.find(std::to_string(mine))->status, "running");
        store.begin(some_recipe(), home() / "killed");  // and can be resumed
    }

    void a_process_number_given_to_another_program_is_not_the_old_one() {
        std::string mine = process_stamp(::getpid());
        QVERIFY(is_alive(::getpid(), mine));
        QVERIFY(!is_alive(::getpid(), mine + "0"));
        QVERIFY(!is_alive(::getppid(), mine));
        QVERIFY(!is_alive(0, mine));
        QVERIFY(!is_alive(::getpid(), ""));
        pid_t child = in_another_process([] {});
        QTest::qWait(50);
        QVERIFY(process_stamp(child).empty());  // ended, and not yet waited for
        exit_status(child);
    }

    void the_index_is_rebuilt_from_the_folders() {
        fs::path runs = home() / "runs";
        write_run(runs / "done-1", {loaded(4), step(1, 3), step(2, 2), evaluated(2, 1.75, true), step(3, 1.5),
                                    finished("completed", 3)});
        write_run(runs / "cut-1", {loaded(4), step(1, 3), step(2, NAN), evaluated(2, NAN, false)});
        write_run(runs / "failed-1", {loaded(4), train::Failed{"x", "it broke", "", "", false}});
        write_run(runs / "again-1",
                  {loaded(4), step(1, 3), finished("stopped_and_saved", 1), loaded(4, 1), step(2, 2)});
        create_folders(runs / "empty-1");
        create_folders(runs / "broken-1");
        write_atomically(runs / "broken-1" / "recipe.json", "{");
        Store store(home());
        QCOMPARE(store.recover().size(), 2u);
        QCOMPARE(store.list().size(), 4u);
        Run done = *store.find((runs / "done-1").string());
        QCOMPARE(done.status, "completed");
        QCOMPARE(done.name, "Kept");
        QCOMPARE(*done.train_loss, 1.5);
        QCOMPARE(*done.best_loss, 1.75);
        QCOMPARE(done.best_step, 2);
        QCOMPARE(done.seconds, 12.0);
        QVERIFY(!done.resumable);
        Run cut = *store.find((runs / "cut-1").string());
        QCOMPARE(cut.status, "interrupted");
        QVERIFY(cut.resumable);
        QCOMPARE(cut.steps_done, 2);
        QCOMPARE(*cut.train_loss, 3.0);
        QVERIFY(!cut.validation_loss && !cut.best_loss);
        QCOMPARE(store.find((runs / "failed-1").string())->error, "it broke");
        QCOMPARE(store.find((runs / "again-1").string())->status, "interrupted");
        QVERIFY(store.recover().empty());
        QCOMPARE(store.list().size(), 4u);
    }

    void a_run_that_goes_on_outside_the_index_is_left_alone() {
        fs::path folder = home() / "runs" / "going-1";
        write_run(folder, {loaded(4), step(1, 3)});
        int lock = ::open((folder / ".lock").c_str(), O_RDWR | O_CREAT, 0666);
        QCOMPARE(::flock(lock, LOCK_EX), 0);
        Store store(home());
        QVERIFY(store.recover().empty() && store.list().empty());
        ::close(lock);
        QCOMPARE(store.recover().size(), 1u);
    }

    void a_damaged_index_is_put_aside_and_made_anew() {
        write_run(home() / "runs" / "kept-1", {loaded(4), finished("completed", 4)});
        write_atomically(home() / "runs.sqlite", std::string(8192, 'x'));
        Store store(home());
        QCOMPARE(store.list().size(), 1u);
        QVERIFY(fs::exists(home() / "runs.sqlite.damaged-1"));
    }

    void an_index_of_a_newer_program_is_left_alone() {
        { Store store(home()); }
        sqlite3* connection = nullptr;
        sqlite3_open((home() / "runs.sqlite").c_str(), &connection);
        sqlite3_exec(connection, "PRAGMA user_version = 99", nullptr, nullptr, nullptr);
        sqlite3_close(connection);
        QCOMPARE(code_of([&] { Store store(home()); }), "runs.index");
        QVERIFY(!fs::exists(home() / "runs.sqlite.damaged-1"));
    }

    void a_home_that_cannot_be_used_is_an_error() {
        write_atomically(home() / "file", "");
        QCOMPARE(code_of([&] { Store store(home() / "file"); }), "file.folder");
        create_folders(home() / "odd" / "runs.sqlite");
        QCOMPARE(code_of([&] { Store store(home() / "odd"); }), "runs.index");
    }

    void removing_a_run_takes_what_it_wrote_and_nothing_else() {
        Store store(home());
        fs::path own = home() / "own", shared = home() / "shared";
        for (const fs::path& folder : {own, shared}) {
            write_run(folder, {loaded(1)});
            store.finish(store.begin(some_recipe(), folder), "completed");
        }
        write_atomically(shared / "thesis.txt", "years of work");
        for (const Run& run : store.list()) store.remove(run.id);
        QVERIFY(store.list().empty());
        QVERIFY(!fs::exists(own));
        QCOMPARE(read_file(shared / "thesis.txt"), "years of work");
        QVERIFY(!fs::exists(shared / "adapter") && !fs::exists(shared / "recipe.json"));
        QCOMPARE(code_of([&] { store.remove(1); }), "runs.not_found");
    }

    void a_folder_gone_by_itself_can_still_be_removed() {
        Store store(home());
        auto id = store.begin(some_recipe(), home() / "gone");
        store.finish(id, "failed", "no space");
        store.remove(id);
        QVERIFY(store.list().empty());
    }

    void the_recorder_keeps_the_entry_true() {
        Store store(home());
        {
            Recorder recorder(home(), some_recipe(), home() / "r", false);
            recorder(loaded(10));
            recorder(step(1, 3));
            recorder(evaluated(1, 2, true));
            recorder(step(2, NAN));
            QCOMPARE(store.find(std::to_string(recorder.id()))->status, "running");
            recorder(finished("early_stopping", 2));
            QCOMPARE(recorder.problem(), "");
        }
        Run run = store.list().front();
        QCOMPARE(run.status, "early_stopping");
        QCOMPARE(run.steps, 10);
        QCOMPARE(run.steps_done, 2);
        QCOMPARE(*run.train_loss, 3.0);
        QCOMPARE(*run.best_loss, 2.0);
        QCOMPARE(run.peak_bytes, 5000);
        { Recorder recorder(home(), some_recipe(), home() / "lost", false); }
        QCOMPARE(store.find((home() / "lost").string())->status, "failed");
    }

    void the_recorder_writes_at_most_twice_a_second() {
        Store store(home());
        Recorder recorder(home(), some_recipe(), home() / "r", false);
        recorder(loaded(1000));
        for (int s = 1; s <= 1000; ++s) recorder(step(s, 1));
        QVERIFY(store.list().front().steps_done < 1000);
        recorder(finished("completed", 1000));
        QCOMPARE(store.list().front().steps_done, 1000);
    }

    void a_fresh_run_is_not_written_over_an_old_one() {
        write_run(home() / "used", {loaded(1)});
        QCOMPARE(code_of([&] { Recorder r(home(), some_recipe(), home() / "used", false); }), "runs.folder");
        QVERIFY(Store(home()).list().empty());
        Recorder resumed(home(), some_recipe(), home() / "used", true);
        QCOMPARE(code_of([&] { Recorder r(home(), some_recipe(), home() / "used", true); }), "runs.running");
        resumed(finished("completed", 1));
    }
};

QTEST_GUILESS_MAIN(RunsTest)
#include "runs_test.moc"
