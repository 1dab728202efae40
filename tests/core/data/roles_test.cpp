#include "core/data/roles.h"

#include <QtTest>

#include "tests/core/data/fixtures.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;
using namespace std::string_literals;
using Layout = ColumnRoles::Layout;

namespace {

Table table_of(const char* rows) {
    std::vector<OrderedJson> list;
    for (auto& row : OrderedJson::parse(rows)) list.push_back(row);
    return Table::from_rows(list);
}

std::string words(const ColumnRoles& roles) {
    switch (roles.layout) {
        case Layout::text:
            return "text " + roles.text;
        case Layout::labelled:
            return "tell " + roles.label + " from " + roles.text;
        case Layout::messages:
            return "messages " + roles.messages + (roles.system.empty() ? "" : " system " + roles.system);
        case Layout::prompt_completion:
            break;
    }
    return "ask " + roles.prompt + (roles.input.empty() ? "" : "+" + roles.input) + " answer " +
           roles.completion + (roles.system.empty() ? "" : " system " + roles.system);
}

std::string turns(const char* messages, const char* column = "messages") {
    Table table = table_of(("[{\"" + std::string(column) + "\": " + messages + "}]").c_str());
    auto example = read_example(table, 0, {.layout = Layout::messages, .messages = column});
    if (!example) return "nothing";
    std::string text;
    for (const auto& message : example->messages) text += message.role + ":" + message.content + " ";
    return text;
}

}  // namespace

class RolesTest : public QObject {
    Q_OBJECT

  private slots:
    void guesses_data() {
        QTest::addColumn<QString>("rows");
        QTest::addColumn<QString>("roles");
        auto row = [](const char* rows, const char* roles) { QTest::newRow(rows) << rows << roles; };
        row(R"([{"text": "a"}])", "text text");
        row(R"([{"id": 1, "content": "a"}])", "text content");
        row(R"([{"id": 1, "note": "a"}])", "text note");
        row(R"([{"prompt": "a", "completion": "b"}])", "ask prompt answer completion");
        row(R"([{"Answer": "b", "Question": "a"}])", "ask Question answer Answer");
        row(R"([{"instruction": "a", "input": "", "output": "b"}])", "ask instruction+input answer output");
        row(R"([{"input": "a", "output": "b", "text": "both"}])", "ask input answer output");
        row(R"([{"system": "s", "query": "a", "response": "b"}])", "ask query answer response system system");
        row(R"([{"question": "a", "context": "c", "answer": "b"}])", "ask question+context answer answer");
        row(R"([{"messages": [{"role": "user", "content": "x"}]}])", "messages messages");
        row(R"([{"conversations": [{"from": "human", "value": "x"}], "system": "s"}])",
            "messages conversations system system");
        row(R"([{"turns": [{"role": "user", "content": "x"}]}])", "messages turns");
        row("[{\"messages\": \"[{\\\"role\\\": \\\"user\\\", \\\"content\\\": \\\"x\\\"}]\"}]",
            "messages messages");
        row(R"([{"dialog": ["hi", "ho"], "text": "a"}])", "text text");
        row(R"([{"messages": null, "id": 1}, {"messages": [{"role": "user", "content": "x"}], "id": 2}])",
            "messages messages");
        row(R"([{"left": "a", "right": "b"}])", "ask left answer right");
        row(R"([{"id": "1", "long": "aaaaaaaaaa", "tag": "x", "longer": "aaaaaaaaaaaaaaaaa"}])",
            "ask long answer longer");
        row(R"([{"prompt": "a", "answer": 5, "text": "t"}])", "text text");
    }
    void guesses() {
        QFETCH(QString, rows);
        QFETCH(QString, roles);
        Table table = table_of(rows.toUtf8());
        RoleGuess guess = guess_roles(table);
        QCOMPARE(QString::fromStdString(words(guess.roles)), roles);
        QVERIFY(!guess.reason.empty());
        QVERIFY(check_roles(table, guess.roles).empty());
    }

    void guesses_for_classification_data() {
        QTest::addColumn<QString>("rows");
        QTest::addColumn<QString>("roles");
        auto row = [](const char* rows, const char* roles) { QTest::newRow(rows) << rows << roles; };
        row(R"([{"text": "a", "label": 1}])", "tell label from text");
        row(R"([{"Sentiment": "good", "Review": "a"}])", "tell Sentiment from Review");
        row(R"([{"id": 1, "sentence": "a", "stars": 4.5}])", "tell stars from sentence");
        row(R"([{"comment": "a", "tags": ["x", "y"]}])", "tell tags from comment");
        row(R"([{"utterance": "a", "intent": true}])", "tell intent from utterance");
        row(R"([{"question": "a", "label": "x", "text": "b"}])", "tell label from text");
        row(R"([{"prompt": "a", "completion": "x"}])", "tell completion from prompt");
        row(R"([{"x": "a long text", "y": "c"}, {"x": "another text", "y": "d"}, {"x": "the last text", "y": "c"}])", "tell y from x");
        row(R"([{"id": 1, "body": "a", "spam": 0}, {"id": 2, "body": "b", "spam": 1}, {"id": 3, "body": "c", "spam": 0}])",
            "tell spam from body");
    }
    void guesses_for_classification() {
        QFETCH(QString, rows);
        QFETCH(QString, roles);
        Table table = table_of(rows.toUtf8());
        RoleGuess guess = guess_roles(table, {}, recipe::Task::classification);
        QCOMPARE(QString::fromStdString(words(guess.roles)), roles);
        QVERIFY(!guess.reason.empty());
        QVERIFY(check_roles(table, guess.roles).empty());
    }

    void guesses_for_sequence_to_sequence_data() {
        QTest::addColumn<QString>("rows");
        QTest::addColumn<QString>("roles");
        auto row = [](const char* rows, const char* roles) { QTest::newRow(rows) << rows << roles; };
        row(R"([{"source": "a", "target": "b"}])", "ask source answer target");
        row(R"([{"summary": "b", "Document": "a"}])", "ask Document answer summary");
        row(R"([{"article": "a", "highlights": "b", "id": "1"}])", "ask article answer highlights");
        row(R"([{"text": "a", "summary": "b"}])", "ask text answer summary");
        row(R"([{"question": "a", "answer": "b"}])", "ask question answer answer");
        row(R"([{"messages": [{"role": "user", "content": "x"}]}])", "messages messages");
        row(R"([{"left": "a", "right": "b"}])", "ask left answer right");
    }
    void guesses_for_sequence_to_sequence() {
        QFETCH(QString, rows);
        QFETCH(QString, roles);
        Table table = table_of(rows.toUtf8());
        RoleGuess guess = guess_roles(table, {}, recipe::Task::seq2seq);
        QCOMPARE(QString::fromStdString(words(guess.roles)), roles);
        QVERIFY(check_roles(table, guess.roles).empty());
    }

    void columns_chosen_for_a_task_stay() {
        using recipe::Task;
        Table table = table_of(R"([{"text": "a", "title": "b", "label": "x", "topic": "y"}])");
        QCOMPARE(words(guess_roles(table, {.text = "title"}, Task::classification).roles), "tell label from title"s);
        QCOMPARE(words(guess_roles(table, {.label = "topic"}, Task::classification).roles), "tell topic from text"s);
        QCOMPARE(words(guess_roles(table, {.label = "text"}, Task::classification).roles), "tell text from title"s);
        QCOMPARE(words(guess_roles(table, {.prompt = "title", .completion = "text"}, Task::seq2seq).roles), "ask title answer text"s);
        QCOMPARE(check_roles(table, guess_roles(table, {.label = "absent"}, Task::classification).roles).size(), 1u);
    }

    void a_table_without_labels_is_told() {
        using recipe::Task;
        Table table = table_of(R"([{"text": "a", "vector": {"x": 1}}, {"text": "b", "vector": {"x": 1}}])");
        RoleGuess guess = guess_roles(table, {}, Task::classification);
        QVERIFY(guess.roles.label.empty());
        QVERIFY(guess.reason.find("no column holds") == 0);
        auto problems = check_roles(table, guess.roles);
        QCOMPARE(problems.size(), 1u);
        QCOMPARE(problems[0].field, "data.columns.label"s);
        problems = check_roles(table, {.layout = Layout::labelled, .text = "text", .label = "vector"});
        QCOMPARE(problems.size(), 1u);
        QVERIFY(problems[0].message.find("expected labels, got cells of kind object") != std::string::npos);
        problems = check_roles(table, {.layout = Layout::labelled, .text = "text", .label = "text"});
        QCOMPARE(problems.size(), 1u);
        QVERIFY(problems[0].message.find("already used as data.columns.text") != std::string::npos);
    }

    void chosen_columns_stay() {
        Table table = table_of(R"([{"prompt": "a", "completion": "b", "better": "c", "text": "t"}])");
        QCOMPARE(words(guess_roles(table, {.completion = "better"}).roles), "ask prompt answer better"s);
        QCOMPARE(words(guess_roles(table, {.prompt = "text"}).roles), "ask text answer completion"s);
        QCOMPARE(words(guess_roles(table, {.text = "better"}).roles), "text better"s);
        QCOMPARE(check_roles(table, guess_roles(table, {.text = "absent"}).roles).size(), 1u);
    }

    void all_problems_are_named_at_once() {
        Table table = table_of(R"([{"q": "a", "n": 1, "e": null}])");
        auto problems = check_roles(
            table,
            {.layout = Layout::prompt_completion, .prompt = "question", .completion = "n", .system = "e"});
        QCOMPARE(problems.size(), 3u);
        QCOMPARE(problems[0].field, "data.columns.prompt"s);
        QVERIFY(problems[0].message.find(R"(there is no column "question"; there are "q", "n", "e")") !=
                std::string::npos);
        QVERIFY(problems[1].message.find("expected text, got cells of kind number") != std::string::npos);
        QVERIFY(problems[2].message.find("empty cells") != std::string::npos);
        QCOMPARE(check_roles(table, {.layout = Layout::prompt_completion, .prompt = "q", .completion = "q"})
                     .size(),
                 1u);
        QCOMPARE(check_roles(table, {.layout = Layout::prompt_completion}).size(), 2u);
        auto error = error_of([&] { require_roles(table, {.layout = Layout::text, .text = "x"}); });
        QCOMPARE(error->code(), "data.columns"s);
        QVERIFY(error->message().find("\"x\"") != std::string::npos);
        require_roles(table, {.layout = Layout::text, .text = "q"});
        QVERIFY(guess_roles(table_of(R"([{"n": 1}])")).roles.text.empty());
    }

    void examples_are_conversations() {
        Table table = table_of(R"([{"s": "sys", "instruction": "do", "input": "this", "output": "done"},
                                   {"s": null, "instruction": "do", "input": " ", "output": "done"},
                                   {"s": "", "instruction": "do", "output": "  "},
                                   {"instruction": null, "output": "done"}])");
        ColumnRoles roles{.layout = Layout::prompt_completion,
                          .prompt = "instruction",
                          .input = "input",
                          .completion = "output",
                          .system = "s"};
        QVERIFY((read_example(table, 0, roles)->messages ==
                 std::vector<Message>{{"system", "sys"}, {"user", "do\n\nthis"}, {"assistant", "done"}}));
        QVERIFY((read_example(table, 1, roles)->messages ==
                 std::vector<Message>{{"user", "do"}, {"assistant", "done"}}));
        EmptyReason reason{};
        QVERIFY(!read_example(table, 2, roles, &reason));
        QVERIFY(reason == EmptyReason::no_answer);
        QVERIFY(!read_example(table, 3, roles, &reason));
        QVERIFY(reason == EmptyReason::no_prompt);
    }

    void messages_come_in_several_dialects() {
        QCOMPARE(turns(R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])"),
                 "user:a assistant:b "s);
        QCOMPARE(
            turns(
                R"([{"from": "system", "value": "s"}, {"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}])",
                "conversations"),
            "system:s user:a assistant:b "s);
        QCOMPARE(
            turns(
                R"([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, {"role": "model", "content": "c"}])"),
            "user:ab assistant:c "s);
        std::string text = R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])";
        QCOMPARE(turns(Json(text).dump().c_str()), "user:a assistant:b "s);  // JSON in a cell of text
        QCOMPARE(turns("[]"), "nothing"s);
        QCOMPARE(turns("null"), "nothing"s);
        QCOMPARE(turns(R"([{"role": "user", "content": "a"}])"), "nothing"s);
        QCOMPARE(turns(R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}])"),
                 "nothing"s);
    }

    void malformed_messages_are_named_data() {
        QTest::addColumn<QString>("messages");
        QTest::addColumn<QString>("says");
        auto row = [](const char* messages, const char* says) {
            QTest::newRow(messages) << messages << says;
        };
        row(R"([1])", "message 1: expected an object, got 1");
        row(R"([{"role": "user", "content": "a"}, {"content": "b"}])",
            "message 2: expected a role, got none");
        row(R"([{"role": 5, "content": "b"}])", "expected a role, got 5");
        row(R"([{"role": "user"}])", "expected a content, got none");
        row(R"([{"role": "user", "content": null}])", "expected a content");
        row(R"([{"role": "user", "content": 5}])", "expected text, got 5");
        row(R"([{"role": "wizard", "content": "a"}])", "got the string \"wizard\"");
        row(R"([{"role": "user", "content": [{"type": "image_url"}]}])", "expected parts of text");
        row("\"[{]\"", "not valid JSON");
    }
    void malformed_messages_are_named() {
        QFETCH(QString, messages);
        QFETCH(QString, says);
        auto error = error_of([&] { turns(messages.toUtf8()); });
        QVERIFY(error);
        QVERIFY2(error->message().find("rows, row 1") != std::string::npos, error->what());
        QVERIFY2(error->message().find(says.toStdString()) != std::string::npos, error->what());
    }
};

QTEST_APPLESS_MAIN(RolesTest)
#include "roles_test.moc"
