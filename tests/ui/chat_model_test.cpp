#include "ui/models/chat_model.h"

#include <QAbstractItemModelTester>
#include <QSignalSpy>
#include <QTest>

using namespace qlora;
using namespace qlora::ui;

namespace {

evaluate::GenerateResult result(const std::string& text, const std::string& stop = "eos") {
    evaluate::GenerateResult made;
    made.text = text;
    made.tokens = 30;
    made.seconds = 2;
    made.stop = stop;
    return made;
}

}  // namespace

class ChatModelTest : public QObject {
    Q_OBJECT

  private slots:
    void obeys_the_rules_of_item_models() {
        ChatModel model("Base model");
        QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
        model.ask("one");
        model.append("an ");
        model.finish(result("an answer"));
        model.ask("two");
        model.fail("no memory");
        QCOMPARE(model.rowCount(), 4);
        model.clear();
        QCOMPARE(model.rowCount(), 0);
    }

    void text_grows_while_it_streams_and_not_afterwards() {
        ChatModel model("Base model");
        model.append("nobody asked");
        QCOMPARE(model.rowCount(), 0);
        model.ask("one");
        QSignalSpy changed(&model, &ChatModel::dataChanged);
        model.append("Hel");
        model.append("lo");
        model.append("");
        QCOMPARE(changed.count(), 2);
        QCOMPARE(model.index(1).data().toString(), "Hello");
        QVERIFY(model.index(1).data(ChatModel::StreamingRole).toBool());
        model.finish(result("Hello."));
        model.append("late");
        QCOMPARE(model.index(1).data().toString(), "Hello.");
        QCOMPARE(model.index(1).data(ChatModel::FigureRole).toString(), "30 tokens · 15.0 tok/s");
    }

    void says_why_an_answer_ended() {
        ChatModel model("Base model");
        model.ask("one");
        model.finish(result("cut", "length"));
        QVERIFY(model.index(1).data(ChatModel::FigureRole).toString().endsWith("cut at the limit"));
        model.ask("two");
        model.append("so far");
        model.stop();
        QCOMPARE(model.index(3).data().toString(), "so far");
        QCOMPARE(model.index(3).data(ChatModel::FigureRole).toString(), "stopped by you");
        QVERIFY(!model.streaming());
    }

    void the_engine_gets_answered_turns_and_the_last_prompt() {
        ChatModel model("Base model");
        model.ask("one");
        model.finish(result("first"));
        model.ask("failed");
        model.fail("no memory");
        model.ask("two");
        const auto history = model.history();
        QCOMPARE(history.size(), 3u);
        QCOMPARE(history[0].role, std::string("user"));
        QCOMPARE(history[1].role, std::string("assistant"));
        QCOMPARE(history[1].content, std::string("first"));
        QCOMPARE(history[2].content, std::string("two"));
    }

    void reads_aloud_who_speaks() {
        ChatModel model("Base model");
        model.ask("<b>hi</b>");
        model.finish(result("there"));
        QCOMPARE(model.index(0).data(Qt::AccessibleTextRole).toString(), "You: <b>hi</b>");
        QCOMPARE(model.index(1).data(Qt::AccessibleTextRole).toString(), "Base model: there");
    }
};

QTEST_MAIN(ChatModelTest)
#include "chat_model_test.moc"
