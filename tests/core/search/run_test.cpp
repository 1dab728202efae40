// The course of a search, over an engine that only pretends to train.
#include <QTemporaryDir>
#include <QtTest>
#include <fstream>
#include <thread>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/search/rungs.h"
#include "core/search/run.h"

using namespace qlora;
using namespace qlora::search;
namespace fs = std::filesystem;

namespace {

// 90 steps; the loss falls to how far the rank is from 20. Keeps its step in a file, as a checkpoint would.
struct PretendEngine {
    std::vector<std::string> sittings;  // "0002 from 10 to 30"
    std::function<void(std::int64_t step, Control&)> each_step;
    std::map<std::int64_t, train::Failed> failing;  // by rank
    std::int64_t steps = 90;

    train::Event operator()(const Sitting& sitting, Control& control, const train::Sink& sink) {
        const auto rank = sitting.recipe.method.rank;
        if (failing.contains(rank)) {
            sink(failing[rank]);
            return failing[rank];
        }
        create_folders(sitting.folder);
        std::int64_t step = 0;
        if (sitting.resume) std::ifstream(sitting.folder / "step") >> step;
        const std::int64_t first = step;
        std::ofstream(sitting.folder / "events.jsonl") << "";
        train::Loaded loaded;
        loaded.steps = steps, loaded.steps_per_epoch = 30, loaded.first_step = first;
        sink(loaded);
        train::Finished finished;
        finished.reason = "completed";
        while (step < steps) {
            if (control.wait() != Control::Request::none) {
                finished.reason = control.request() == Control::Request::stop ? "stopped" : "stopped_and_saved";
                break;
            }
            train::StepDone done;
            done.step = ++step;
            sink(done);
            if (each_step) each_step(step, control);
            if (step < steps && sitting.stop_after && sitting.stop_after(step)) {
                finished.reason = "stopped_and_saved";
                break;
            }
        }
        if (finished.reason != "stopped") {
            std::ofstream(sitting.folder / "step") << step;
            const double distance = std::abs(double(rank) - 20);
            finished.metrics = {{"validation_loss", distance + 1.0 / double(step)}, {"accuracy", 1 / (1 + distance)}};
        }
        finished.steps = step;
        sittings.push_back(sitting.folder.filename().string() + " from " + std::to_string(first) + " to " + std::to_string(step));
        sink(finished);
        return finished;
    }
};

}  // namespace

class SearchRunTest : public QObject {
    Q_OBJECT
    QTemporaryDir home_;
    int serial_ = 0;

    Search search_of(const char* strategy, const char* space = R"({"method.rank": [2, 4, 8, 12, 17, 20, 32, 64, 128]})") {
        Json json = parse_json(R"({"recipe": {"model": "m", "data": {"train": "d.jsonl"}}, "baseline": false})", "test");
        json["strategy"] = strategy, json["space"] = parse_json(space, "test"), json["runs"] = 9;
        std::vector<recipe::Problem> problems;
        return search::from_json(json, {}, problems);
    }
    fs::path begin(const Search& search) {
        const fs::path folder = fs::path(home_.path().toStdString()) / ("search-" + std::to_string(serial_++));
        create(folder, search);
        return folder;
    }
    static Ended go(const fs::path& folder, PretendEngine& engine, Control& control, std::vector<Event>* events = nullptr) {
        return search::run(folder, std::ref(engine), control, [&](const Event& event) {
            if (events) events->push_back(event);
        });
    }

  private slots:
    void a_grid_runs_all_and_writes_the_best_recipe() {
        const fs::path folder = begin(search_of("grid"));
        PretendEngine engine;
        Control control;
        std::vector<Event> events;
        const Ended ended = go(folder, engine, control, &events);
        QCOMPARE(ended.reason, std::string("completed"));
        QCOMPARE(ended.completed, 9);
        QCOMPARE(ended.winner, 6);
        const auto best = recipe::load(ended.best);
        QCOMPARE(best.method.rank, 20);
        QVERIFY(std::holds_alternative<Ended>(events.back()));
        QCOMPARE(engine.sittings.size(), std::size_t(9));
        go(folder, engine, control);  // it is done
        QCOMPARE(engine.sittings.size(), std::size_t(9));
        QVERIFY(read(folder).done());
    }

    void the_goal_turns_the_ranking_round() {
        auto search = search_of("grid");
        search.metric = "accuracy", search.maximize = true;
        PretendEngine engine;
        Control control;
        QCOMPARE(go(begin(search), engine, control).winner, 6);
        search.maximize = false;
        QCOMPARE(go(begin(search), engine, control).winner, 9);
    }

    void halving_gives_the_best_third_three_times_the_length_and_resumes_it() {
        const fs::path folder = begin(search_of("halving"));
        PretendEngine engine;
        Control control;
        const Ended ended = go(folder, engine, control);
        QCOMPARE(engine.sittings.size(), std::size_t(9 + 3 + 1));
        for (std::size_t i = 0; i < 9; ++i) QVERIFY(engine.sittings[i].ends_with("from 0 to 10"));
        for (std::size_t i = 9; i < 12; ++i) QVERIFY(engine.sittings[i].ends_with("from 10 to 30"));
        QVERIFY(engine.sittings[12].ends_with("from 30 to 90"));
        QCOMPARE(ended.completed, 1);
        QCOMPARE(ended.left, 8);
        const auto standing = read(folder);
        const Trial& winner = standing.trials[std::size_t(ended.winner - 1)];
        QCOMPARE(winner.values.at("method.rank").get<int>(), 20);
        QCOMPARE(winner.rungs.size(), std::size_t(3));
        for (const Trial& trial : standing.trials) QVERIFY(trial.status == Trial::Status::left || &trial == &winner);
    }

    void a_first_rung_can_be_given_in_steps_or_epochs() {
        auto search = search_of("halving");
        train::Loaded run;
        run.steps = 90, run.steps_per_epoch = 30;
        QCOMPARE(rung_end(search, 0, 3, run), 10);
        QCOMPARE(rung_end(search, 2, 3, run), 90);
        search.first_steps = 4;
        QCOMPARE(rung_end(search, 1, 3, run), 12);
        QCOMPARE(rung_end(search, 2, 3, run), 90);  // the last is whole all the same
        search.first_steps = 0, search.first_epochs = 0.5;
        QCOMPARE(rung_end(search, 1, 3, run), 45);
        search.first_epochs = 100;
        QCOMPARE(rung_end(search, 0, 3, run), 90);
    }

    void a_stopped_search_goes_on_with_the_very_trial() {
        const fs::path folder = begin(search_of("halving"));
        Control whole;
        PretendEngine uninterrupted;
        const Ended expected = go(begin(search_of("halving")), uninterrupted, whole);
        PretendEngine engine;
        int sittings = 0;
        for (std::string reason = "stopped"; reason == "stopped"; ++sittings) {
            QVERIFY(sittings < 40);
            Control control;
            int steps = 0;
            engine.each_step = [&](std::int64_t, Control& own) {
                // As the search's own Control would after at most 50 ms.
                if (++steps == 17) control.stop_and_save(), own.stop_and_save();
            };
            reason = go(folder, engine, control).reason;
        }
        QVERIFY(sittings > 5);
        auto trials = read(folder).trials;
        QCOMPARE(best_of(read(folder).search, trials), std::optional<std::size_t>(std::size_t(expected.winner - 1)));
        QVERIFY(trials[std::size_t(expected.winner - 1)].rungs == read(expected.folder).trials[std::size_t(expected.winner - 1)].rungs);
    }

    void a_trial_that_fails_is_entered_and_the_search_goes_on() {
        auto search = search_of("grid");
        PretendEngine engine;
        engine.failing[8] = {"train.diverged", "20 steps in a row gave no finite loss", "step 20", ""};
        Control control;
        const fs::path folder = begin(search);
        const Ended ended = go(folder, engine, control);
        QCOMPARE(ended.failed, 1);
        QCOMPARE(ended.completed, 8);
        QCOMPARE(read(folder).trials[2].reason, std::string("20 steps in a row gave no finite loss"));
        QVERIFY(read(folder).done());
    }

    void a_combination_that_the_recipe_refuses_is_a_failed_trial() {
        auto search = search_of("grid", R"({"train.warmup": [0, 50], "train.max_steps": [0, 10]})");
        PretendEngine engine;
        Control control;
        const fs::path folder = begin(search);
        const Ended ended = go(folder, engine, control);
        QCOMPARE(ended.failed, 1);
        QCOMPARE(engine.sittings.size(), std::size_t(3));
        QVERIFY(read(folder).trials[3].reason.starts_with("train.warmup"));
    }

    void a_state_that_does_not_fit_the_description_is_refused_by_name() {
        const fs::path folder = begin(search_of("grid", R"({"method.rank": [4, 8]})"));
        const std::string state = read_file(folder / "state.json");
        for (const auto& [from, to] : {std::pair{"\"method.rank\"", "\"method.alpha\""}, {"\"method.rank\": 4", "\"method.rank\": \"four\""}}) {
            std::string wrong = state;
            wrong.replace(wrong.find(from), std::string_view(from).size(), to);
            write_atomically(folder / "state.json", wrong);
            try {
                read(folder);
                QFAIL("read");
            } catch (const Error& error) {
                QVERIFY2(QString::fromStdString(error.message()).contains("search.json varies in run 1"), error.message().c_str());
            }
        }
        write_atomically(folder / "state.json", state);
        QCOMPARE(read(folder).trials.size(), std::size_t(2));
    }

    void a_figure_that_no_run_gives_fails_by_name() {
        auto search = search_of("grid");
        search.metric = "chrf";
        PretendEngine engine;
        Control control;
        const fs::path folder = begin(search);
        QCOMPARE(go(folder, engine, control).winner, 0);
        QVERIFY(read(folder).trials[0].reason.find("accuracy, validation_loss") != std::string::npos);
    }

    void what_is_asked_reaches_the_run_within_a_second() {
        const fs::path folder = begin(search_of("grid"));
        PretendEngine engine;
        engine.steps = 1000000;
        Control control;
        std::atomic<std::int64_t> steps = 0;
        engine.each_step = [&](std::int64_t, Control&) {
            ++steps;
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        };
        Ended ended;
        std::thread thread([&] { ended = go(folder, engine, control); });
        while (steps < 5) std::this_thread::yield();
        control.pause();
        QTest::qWait(300);
        const auto paused = steps.load();
        QTest::qWait(200);
        QCOMPARE(steps.load(), paused);
        control.resume();
        QTRY_VERIFY_WITH_TIMEOUT(steps > paused, 1000);
        control.stop();
        QElapsedTimer clock;
        clock.start();
        thread.join();
        QVERIFY(clock.elapsed() < 1000);
        QCOMPARE(ended.reason, std::string("stopped"));
        QVERIFY(!read(folder).running);
    }

    void one_program_at_a_time() {
        const fs::path folder = begin(search_of("grid"));
        PretendEngine engine;
        Control control;
        const Lock lock(folder);
        QVERIFY(read(folder).running);
        QVERIFY_THROWS_EXCEPTION(Error, go(folder, engine, control));
        QVERIFY_THROWS_EXCEPTION(Error, create(folder, search_of("grid")));
    }

    void the_list_shows_what_is_there_and_skips_what_is_broken() {
        QTemporaryDir home;
        const fs::path place = home.path().toStdString();
        QVERIFY(list(place).empty());
        const fs::path first = new_folder(place, "Sentiment of reviews!");
        QCOMPARE(first.filename().string(), std::string("sentiment-of-reviews-1"));
        create(first, search_of("grid"));
        const fs::path second = new_folder(place, "Sentiment of reviews!");
        write_atomically(second / "search.json", "{");
        QCOMPARE(list(place).size(), std::size_t(1));
        QCOMPARE(list(place)[0].trials.size(), std::size_t(9));
    }
};

QTEST_GUILESS_MAIN(SearchRunTest)
#include "run_test.moc"
