// Reports as JSON, and read back from what a run wrote while it trained.
#include "core/base/file.h"
#include "core/evaluate/chat.h"
#include "core/events/events.h"
#include "tests/torch_tests.h"

using namespace qlora;
using namespace qlora::evaluate;

namespace {

class RunFolder {
  public:
    void write(const std::string& recipe, const std::vector<train::Event>& events) {
        write_atomically(path() / "recipe.json", recipe);
        std::string lines;
        for (const auto& event : events) lines += train::to_line(event) + "\n";
        write_atomically(path() / "events.jsonl", lines);
    }
    std::filesystem::path path() const { return folder_.path().toStdString(); }

  private:
    QTemporaryDir folder_;
};

train::Evaluated evaluated(std::int64_t step, double loss, double accuracy, const std::string& base, const std::string& tuned) {
    train::Evaluated event;
    event.step = step;
    event.loss = loss;
    event.metrics = {{"accuracy", accuracy}, {"perplexity", 9}};
    event.best = true;
    event.samples = {{"good film", "positive", base, tuned}};
    return event;
}

Report classified() {
    Report report;
    report.task = recipe::Task::classification;
    report.split = "test";
    report.rows = 4;
    report.labels = {"no", "yes"};
    const std::vector<std::int64_t> expected{0, 0, 1, 1}, predicted{0, 1, 1, 1};
    Contender tuned{"tuned", 0.5, 0, 4, 40, {"no"}};
    tuned.classification = classification(expected, predicted, report.labels);
    tuned.metrics = figures(*tuned.classification);
    report.contenders = {{"base", NAN, 0, 4, 40, {"yes"}}, tuned};
    report.questions = {"never again"};
    report.expected = {"no"};
    return report;
}

const char* const classification_recipe =
    R"({"model": "m", "task": "classification", "data": {"train": "d.csv"}, "output": "out"})";

}  // namespace

class ReportTest : public QObject {
    Q_OBJECT

  private slots:
    void figures_are_flat_and_classes_a_list() {
        const OrderedJson json = to_json(classified());
        QCOMPARE(json["task"], "classification");
        QCOMPARE(json["labels"], OrderedJson({"no", "yes"}));
        QCOMPARE(json["metrics"].dump(), std::string(R"({"loss":0.5,"accuracy":0.75,"macro_f1":0.7333333333333334,"tokens":40})"));
        const OrderedJson& tuned = json["contenders"][1];
        QCOMPARE(tuned["metrics"], json["metrics"]);
        QCOMPARE(tuned["confusion_matrix"].dump(), std::string("[[1,1],[0,2]]"));
        QCOMPARE(tuned["classes"][0].dump(),
                 std::string(R"({"name":"no","precision":1.0,"recall":0.5,"f1":0.6666666666666666,"rows":2,"predicted":1,"right":1})"));
        QCOMPARE(tuned["answers"], OrderedJson({"no"}));
        QCOMPARE(json["expected"], OrderedJson({"no"}));
    }

    void what_was_not_measured_is_not_there_and_no_number_is_null() {
        const OrderedJson base = to_json(classified())["contenders"][0];
        QVERIFY(base["metrics"]["loss"].is_null());
        QVERIFY(!base["metrics"].contains("perplexity"));
        QVERIFY(!base.contains("classes"));
        QVERIFY(!base.contains("confusion_matrix"));
        Report chat;
        chat.contenders = {{"tuned", 1, 2.5, 4, 40, {}}};
        QCOMPARE(to_json(chat)["metrics"].dump(), std::string(R"({"loss":1.0,"perplexity":2.5,"tokens":40})"));
        QVERIFY(!to_json(chat).contains("labels"));
    }

    void labels_of_many_have_figures_a_label_and_no_matrix() {
        Report report;
        report.contenders = {{"tuned", 0.1, 0, 2, 20, {}}};
        const std::vector<std::uint8_t> expected{1, 0, 1, 1}, predicted{1, 0, 0, 1};
        report.contenders[0].multi_label = multi_label(expected, predicted, std::vector<std::string>{"a", "b"});
        const OrderedJson json = to_json(report)["contenders"][0];
        QCOMPARE(json["classes"][1]["f1"], 1.0);
        QVERIFY(!json.contains("confusion_matrix"));
    }

    void a_classifiers_run_tells_its_task_and_metrics() {
        RunFolder run;
        run.write(classification_recipe, {evaluated(0, 0.69, 0.5, "negative", ""), evaluated(10, 0.2, 0.9, "negative", "positive")});
        const Report report = training_report(run.path());
        QCOMPARE(report.task, recipe::Task::classification);
        QCOMPARE(report.contenders.size(), std::size_t(2));
        QCOMPARE(report.contenders[1].metrics, (std::map<std::string, double>{{"accuracy", 0.9}}));
        QCOMPARE(report.contenders[1].perplexity, 0.0);
        QCOMPARE(report.contenders[0].answers, std::vector<std::string>{"negative"});
        QCOMPARE(report.contenders[1].answers, std::vector<std::string>{"positive"});
        QCOMPARE(report.expected, std::vector<std::string>{"positive"});
    }

    void a_run_over_tokens_has_a_perplexity() {
        RunFolder run;
        run.write(R"({"model": "m", "data": {"train": "d.jsonl"}, "output": "out"})", {evaluated(10, 1, 0.9, "a", "b")});
        const Report report = training_report(run.path());
        QCOMPARE(report.task, recipe::Task::causal_lm);
        QCOMPARE(report.contenders[0].perplexity, std::exp(1.0));
    }

    void a_run_that_measured_nothing_has_no_contenders() {
        QTemporaryDir empty;
        QVERIFY(training_report(empty.path().toStdString()).contenders.empty());
    }
};

QTEST_GUILESS_MAIN(ReportTest)
#include "report_test.moc"
