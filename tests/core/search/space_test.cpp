// What a search varies, and the trials that come of it.
#include <QTemporaryDir>
#include <QtTest>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/search/trial.h"

using namespace qlora;
using namespace qlora::search;

namespace {

Json description() {
    return parse_json(R"({"recipe": {"model": "m", "data": {"train": "d.jsonl"}},
        "space": {"lr": {"low": 1e-5, "high": 1e-2, "scale": "log", "points": 4}, "method.rank": [4, 8, 16], "method.dora": [true, false],
                  "method.target_modules": [["query"], ["query", "key"]]}})", "test");
}

Search read(const Json& json) {
    std::vector<recipe::Problem> problems;
    Search search = search::from_json(json, {}, problems);
    for (const auto& problem : problems) qWarning("%s: %s", problem.field.c_str(), problem.expected.c_str());
    return problems.empty() ? search : throw input_error("test", "test", "problems");
}

QStringList problems_of(const Json& json) {
    std::vector<recipe::Problem> problems;
    search::from_json(json, {}, problems);
    QStringList fields;
    for (const auto& problem : problems) fields << QString::fromStdString(problem.field);
    return fields;
}

Json with_space(const char* space) {
    Json json = description();
    json["space"] = parse_json(space, "test");
    return json;
}

}  // namespace

class SpaceTest : public QObject {
    Q_OBJECT

  private slots:
    void a_description_is_read_and_written_the_same() {
        Json json = description();
        json["strategy"] = "halving", json["metric"] = "accuracy", json["budget"] = {{"epochs", 0.5}}, json["seed"] = 7;
        const Search search = read(json);
        QCOMPARE(search.axes.size(), std::size_t(4));
        QVERIFY(search.maximize);
        QVERIFY(read(parse_json(to_json(search).dump(), "test")) == search);
        QVERIFY(!(read(description()) == search));
    }

    void everything_wrong_is_told_at_once_by_its_key() {
        Json json = with_space(R"({"train.learning_rat": [1], "output": ["x"], "method.rank": [4, 2.5, "eight"], "precision": {"low": 1, "high": 2},
            "lr": {"low": 1e-2, "high": 1e-3, "points": 1}, "warmup": {"low": 0, "high": 0.1, "scale": "log"}, "epochs": {"low": 1, "top": 2}, "accumulate": []})");
        json["strategy"] = "clever", json["runs"] = 0, json["metric"] = "beauty", json["budget"] = 3, json["fun"] = true;
        json["recipe"]["data"].erase("train");
        const QStringList found = problems_of(json);
        for (const char* key : {"space.train.learning_rat", "space.output", "space.method.rank", "space.precision", "space.lr.points",
                                "space.warmup.low", "space.epochs.top", "space.epochs.high", "space.accumulate", "strategy", "runs", "metric", "budget", "fun", "recipe.data.train"})
            QVERIFY2(found.contains(key), key);
        QCOMPARE(found.count("space.method.rank"), 2);
        QVERIFY(problems_of(description()).isEmpty());
    }

    void a_field_is_varied_once_whatever_it_is_called() {
        QCOMPARE(problems_of(with_space(R"({"r": [4], "method.rank": [8]})")), QStringList{"space.r"});
    }

    void a_figure_of_validation_needs_rows_to_validate_on() {
        Json json = description();
        json["recipe"]["data"]["validation_fraction"] = 0;
        QCOMPARE(problems_of(json), QStringList{"metric"});
        json["metric"] = "train_loss";
        QVERIFY(problems_of(json).isEmpty());
    }

    void a_command_line_says_the_same() {
        QVERIFY(parse_vary("lr=1e-5..1e-2:log:4").second == description()["space"]["lr"]);
        QVERIFY(parse_vary("method.rank=4,8,16").second == description()["space"]["method.rank"]);
        QVERIFY(parse_vary("method.target_modules=query|query,key").second == description()["space"]["method.target_modules"]);
        QVERIFY(parse_vary("method.dora=true,false").second == description()["space"]["method.dora"]);
        for (const char* wrong : {"lr", "=4", "lr="}) QVERIFY_THROWS_EXCEPTION(Error, parse_vary(wrong));
        const auto [key, axis] = parse_vary("method.rank=4,many");
        QCOMPARE(problems_of(with_space(Json{{key, axis}}.dump().c_str())), QStringList{"space.method.rank"});
    }

    void a_grid_takes_the_ends_and_even_steps_of_its_scale() {
        const auto axis = read(with_space(R"({"lr": {"low": 1e-5, "high": 1e-2, "scale": "log", "points": 4}})")).axes[0];
        QVERIFY((grid_values(axis) == std::vector<Json>{1e-5, 1e-4, 1e-3, 1e-2}));
        const auto ranks = read(with_space(R"({"r": {"low": 4, "high": 6, "points": 9}})")).axes[0];
        QVERIFY((grid_values(ranks) == std::vector<Json>{4, 5, 6}));  // whole numbers, each once
        Json json = description();
        json["strategy"] = "grid";
        QCOMPARE(make_trials(read(json)).size(), std::size_t(4 * 3 * 2 * 2));
        json["baseline"] = true;
        QCOMPARE(make_trials(read(json)).size(), std::size_t(4 * 3 * 2 * 2 + 1));
        json["space"]["lr"]["points"] = 1000;
        QCOMPARE(problems_of(json), QStringList{"space"});
    }

    void chance_stays_in_range_and_is_even_on_the_scale() {
        const auto search = read(with_space(R"({"lr": {"low": 1e-5, "high": 1e-2, "scale": "log"}, "r": {"low": 1, "high": 4, "scale": "log"}, "warmup": {"low": 0, "high": 0.5}})"));
        RandomStream random(1, "test");
        int lower_half = 0, ones = 0;
        for (int i = 0; i < 2000; ++i) {
            const double rank = draw(search.axes[0], random), rate = draw(search.axes[1], random), warmup = draw(search.axes[2], random);
            QVERIFY(rate >= 1e-5 && rate <= 1e-2 && rank >= 1 && rank <= 4 && warmup >= 0 && warmup <= 0.5);
            lower_half += rate < std::sqrt(1e-5 * 1e-2);
            ones += rank == 1;
        }
        QVERIFY(lower_half > 900 && lower_half < 1100);
        QVERIFY(ones > 780 && ones < 950);  // log 2 / log 5 of them
    }

    void the_same_seed_gives_the_same_trials_and_more_runs_only_add() {
        Json json = description();
        json["runs"] = 6;
        const auto six = make_trials(read(json));
        json["runs"] = 12;
        const auto twelve = make_trials(read(json));
        QVERIFY(std::equal(six.begin(), six.end(), twelve.begin()));
        QCOMPARE(twelve.size(), std::size_t(12));
        QVERIFY(twelve[0].baseline && twelve[0].values.at("method.rank") == 16);
        json["seed"] = 43;
        QVERIFY(make_trials(read(json))[1].values != twelve[1].values);
        std::set<std::string> different;
        for (const Trial& trial : twelve) different.insert(Json(trial.values).dump());
        QCOMPARE(different.size(), twelve.size());
    }

    void a_small_space_gives_no_trial_twice() {
        Json json = with_space(R"({"method.dora": [true, false]})");
        QCOMPARE(make_trials(read(json)).size(), std::size_t(2));
    }

    void a_trials_recipe_is_the_recipe_with_its_values() {
        const Search search = read(description());
        const auto trial = make_trials(search)[3];
        const auto recipe = recipe_of(search, trial);
        QCOMPARE(recipe.method.rank, trial.values.at("method.rank").get<std::int64_t>());
        QVERIFY(recipe::validate(recipe).empty());
        QVERIFY(trial_from_json(parse_json(to_json(trial).dump(), "test"), "test") == trial);
    }

    void a_file_names_its_recipe_beside_itself() {
        QTemporaryDir folder;
        const std::filesystem::path place = folder.path().toStdString();
        write_atomically(place / "r.json", R"({"model": "m", "data": {"train": "d.jsonl"}})");
        write_atomically(place / "s.json", R"({"recipe": "r.json", "space": {"r": [2, 4]}})");
        QCOMPARE(QString::fromStdString(load(place / "s.json").recipe.data.train), folder.filePath("d.jsonl"));
        write_atomically(place / "s.json", R"({"recipe": "r.json", "space": {"r": [-2]}, "eta": 1})");
        QVERIFY_THROWS_EXCEPTION(Error, load(place / "s.json"));
    }
};

QTEST_GUILESS_MAIN(SpaceTest)
#include "space_test.moc"
