#include "ui/pages/evaluate_page.h"

#include <QComboBox>
#include <QLabel>
#include <QListView>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QTest>

#include "tests/ui/recorded_services.h"
#include "ui/pages/evaluate_chat.h"
#include "ui/pages/evaluate_scoreboard.h"
#include "ui/widgets/error_panel.h"

using namespace qlora;
using namespace qlora::ui;

namespace {

class PlayedChat : public QuietChat {
  public:
    void measure(const evaluate::ReportOptions& options) override { measured_with.push_back(options); }
    void cancel_measuring() override { emit cancelled(); }
    void ask(const std::vector<evaluate::Message>& base, const std::vector<evaluate::Message>& tuned,
             const evaluate::GenerateOptions& options) override {
        asked_base = base;
        asked_tuned = tuned;
        asked_with = options;
    }
    void stop_chat() override {
        ++stops;
        emit chat_ended();
    }
    std::vector<evaluate::ReportOptions> measured_with;
    std::vector<evaluate::Message> asked_base, asked_tuned;
    evaluate::GenerateOptions asked_with;
    int stops = 0;
};

RunEntry run(std::int64_t id, const std::string& name, bool has_adapter = true) {
    RunEntry entry;
    entry.run.id = id;
    entry.run.name = name;
    entry.run.folder = "/tmp/runs/" + name;
    entry.run.status = "completed";
    entry.has_adapter = has_adapter;
    return entry;
}

evaluate::Report report(double base, double tuned) {
    evaluate::Report made;
    made.split = "test";
    made.questions = {"why?"};
    made.expected = {"because"};
    made.contenders = {{"base", 2, base, 38, 1900, {"dunno"}}, {"tuned", 1, tuned, 38, 1900, {"because"}}};
    return made;
}

QPushButton* button(const QWidget& page, const QString& text) {
    for (auto* found : page.findChildren<QPushButton*>())
        if (found->text() == text) return found;
    return nullptr;
}

bool shows(const QWidget& page, const QString& text) {
    for (const auto* label : page.findChildren<QLabel*>())
        if (label->text() == text) return true;
    return false;
}

}  // namespace

class EvaluatePageTest : public QObject {
    Q_OBJECT

  private slots:
    void without_an_adapter_it_leads_to_the_train_page() {
        PlayedChat chat;
        QuietRuns runs;
        runs.entries = {run(1, "untrained", false)};
        EvaluatePage page(chat, runs);
        page.show();
        QSignalSpy train(&page, &EvaluatePage::train_requested);
        button(page, "Set up a run")->click();
        QCOMPARE(train.count(), 1);
        QVERIFY(chat.chosen.empty());
    }

    void figures_of_base_and_tuned_and_their_ratio() {
        PlayedChat chat;
        QuietRuns runs;
        runs.entries = {run(2, "second"), run(1, "first")};
        EvaluatePage page(chat, runs);
        page.show();
        QCOMPARE(chat.chosen, std::filesystem::path("/tmp/runs/second"));
        button(page, "Measure")->click();
        QCOMPARE(chat.measured_with.size(), std::size_t(1));
        QVERIFY(chat.measured_with[0].baselines);
        QCOMPARE(chat.measured_with[0].answers, std::int64_t(10));
        QVERIFY(!button(page, "Measure")->isEnabled());
        emit chat.measured(report(16, 4));
        QVERIFY(shows(page, "16.0"));
        QVERIFY(shows(page, "4.00"));
        QVERIFY(shows(page, "4.00×"));
        QVERIFY(button(page, "Measure again")->isEnabled());
    }

    void a_run_that_got_worse_is_said_to_be_worse() {
        EvaluateScoreboard scoreboard;
        scoreboard.set_report(report(4, 8));
        QVERIFY(shows(scoreboard, "0.500×"));
        scoreboard.resize(1200, 600);
        scoreboard.show();
        QVERIFY(shows(scoreboard, "the tuned model got worse on the held-out rows"));
    }

    void figures_are_kept_for_each_run() {
        PlayedChat chat;
        QuietRuns runs;
        runs.entries = {run(2, "second"), run(1, "first")};
        EvaluatePage page(chat, runs);
        page.show();
        button(page, "Measure")->click();
        emit chat.measured(report(16, 4));
        auto* box = page.findChild<QComboBox*>();
        box->setCurrentIndex(1);
        QCOMPARE(chat.chosen, std::filesystem::path("/tmp/runs/first"));
        QVERIFY(!shows(page, "16.0"));
        box->setCurrentIndex(0);
        QVERIFY(shows(page, "16.0"));
    }

    void a_new_run_in_the_list_leaves_the_chosen_one_chosen() {
        PlayedChat chat;
        QuietRuns runs;
        runs.entries = {run(2, "second"), run(1, "first")};
        EvaluatePage page(chat, runs);
        page.show();
        page.choose("/tmp/runs/first");
        runs.entries.insert(runs.entries.begin(), run(3, "third"));
        runs.refresh();
        QCOMPARE(page.findChild<QComboBox*>()->currentText(), "first");
        QCOMPARE(chat.chosen, std::filesystem::path("/tmp/runs/first"));
    }

    void a_run_asked_for_before_it_is_listed_is_chosen_then() {
        PlayedChat chat;
        QuietRuns runs;
        runs.entries = {run(2, "second"), run(1, "first")};
        EvaluatePage page(chat, runs);
        page.choose("/tmp/runs/first");
        page.show();
        QCOMPARE(page.findChild<QComboBox*>()->currentText(), "first");
    }

    void both_models_get_the_prompt_and_enter_sends_it() {
        PlayedChat chat;
        EvaluateChat pane(chat);
        pane.show();
        auto* prompt = pane.findChild<QPlainTextEdit*>();
        prompt->setFocus();
        QTest::keyClicks(prompt, "hello");
        QTest::keyClick(prompt, Qt::Key_Return, Qt::ShiftModifier);
        QTest::keyClicks(prompt, "you");
        QTest::keyClick(prompt, Qt::Key_Return);
        QVERIFY(pane.answering());
        QCOMPARE(chat.asked_base.size(), std::size_t(1));
        QCOMPARE(chat.asked_base[0].content, std::string("hello\nyou"));
        QCOMPARE(chat.asked_tuned[0].content, std::string("hello\nyou"));
        QCOMPARE(chat.asked_with.max_tokens, std::int64_t(128));
        QVERIFY(prompt->toPlainText().isEmpty());
    }

    void tokens_stream_into_their_own_pane_and_stop_ends_both() {
        PlayedChat chat;
        EvaluateChat pane(chat);
        pane.show();
        pane.ask("hello");
        emit chat.piece(Side::tuned, "tu");
        emit chat.piece(Side::base, "ba");
        emit chat.piece(Side::tuned, "ned");
        const auto lists = pane.findChildren<QListView*>();
        QCOMPARE(lists.size(), 2);
        QCOMPARE(lists[0]->model()->index(1, 0).data().toString(), "ba");
        QCOMPARE(lists[1]->model()->index(1, 0).data().toString(), "tuned");
        QVERIFY(!button(pane, "Send"));
        button(pane, "Stop")->click();
        QCOMPARE(chat.stops, 1);
        QVERIFY(!pane.answering());
        QVERIFY(button(pane, "Send"));
    }

    void one_thing_at_a_time_and_the_buttons_say_so() {
        PlayedChat chat;
        QuietRuns runs;
        runs.entries = {run(1, "first")};
        EvaluatePage page(chat, runs);
        page.show();
        page.findChild<EvaluateChat*>()->ask("hello");
        QVERIFY(!button(page, "Measure")->isEnabled());
        QVERIFY(!button(page, "Measure")->toolTip().isEmpty());
        emit chat.chat_ended();
        QVERIFY(button(page, "Measure")->isEnabled());
        page.set_busy("A run is going on.");
        QCOMPARE(button(page, "Measure")->toolTip(), "A run is going on.");
    }

    void an_error_stays_on_the_page_and_the_next_try_is_free() {
        PlayedChat chat;
        QuietRuns runs;
        runs.entries = {run(1, "first")};
        EvaluatePage page(chat, runs);
        page.show();
        button(page, "Measure")->click();
        emit chat.failed(input_error("data.not_found", "support.jsonl", "no such file", "Choose it again."));
        QVERIFY(page.findChild<ErrorPanel*>()->isVisible());
        QVERIFY(button(page, "Measure")->isEnabled());
    }
};

QTEST_MAIN(EvaluatePageTest)
#include "evaluate_page_test.moc"
