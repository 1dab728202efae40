#include <QTest>
#include <ctime>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/tokenizer/chat_template.h"

using namespace qlora;
using tokenizer::ChatTemplate;

namespace {

const OrderedJson& golden() {
    static const OrderedJson json =
        OrderedJson::parse(read_file(std::string(QLORA_SOURCE_DIR) + "/tests/golden/chat_templates.json"));
    return json;
}

std::string render(const std::string& source, const OrderedJson& messages = OrderedJson::array()) {
    return ChatTemplate(source, "test").render(messages, false, OrderedJson::object());
}

// The code of the error that rendering ends in, and its message.
std::pair<std::string, std::string> error_of(const std::string& source,
                                             const OrderedJson& messages = OrderedJson::array()) {
    try {
        return {"", render(source, messages)};
    } catch (const Error& error) {
        return {error.code(), error.message()};
    }
}

}  // namespace

class ChatTemplateTest : public QObject {
    Q_OBJECT

  private slots:
    void renders_every_conversation_as_transformers_does_data() {
        QTest::addColumn<int>("index");
        int index = 0;
        for (const auto& entry : golden()["cases"])
            QTest::addRow("%d %s, %s", index, entry["template"].get<std::string>().c_str(),
                          entry["messages"].get<std::string>().c_str())
                << index,
                ++index;
    }

    void renders_every_conversation_as_transformers_does() {
        QFETCH(int, index);
        const OrderedJson& all = golden();
        const auto& entry = all["cases"][index];
        OrderedJson variables = all["tokens"];
        for (const auto& [name, value] : entry["extra"].items()) variables[name] = value;
        std::string name = entry["template"], conversation = entry["messages"];
        std::string source = all["templates"][name];
        try {
            ChatTemplate parsed(source, "test");
            std::string text = parsed.render(all["conversations"][conversation], entry["prompt"], variables);
            QVERIFY2(entry.contains("text"), ("expected an error, got " + text).c_str());
            std::string expected = entry["text"];
            QCOMPARE(QByteArray::fromStdString(text), QByteArray::fromStdString(expected));
        } catch (const Error& error) {
            QVERIFY2(entry.contains("error"), error.what());
            std::string kind = entry["error"];
            QCOMPARE(error.code() == "chat.refused", kind == "refused");
            if (kind == "refused") {
                std::string reason = entry["message"];
                QVERIFY(error.message().find(reason) != std::string::npos);
            }
            if (kind == "TemplateSyntaxError") QCOMPARE(error.code(), std::string("chat.syntax"));
        }
    }

    void another_conversation_gives_another_text() {
        const OrderedJson& all = golden();
        ChatTemplate parsed(all["templates"]["chatml"].get<std::string>(), "test");
        QVERIFY(parsed.render(all["conversations"]["user"], false, all["tokens"]) !=
                parsed.render(all["conversations"]["multi"], false, all["tokens"]));
    }

    void errors_name_the_line() {
        QVERIFY(error_of("a\nb\n{{ x.y }}").second.find("line 3") != std::string::npos);
        QVERIFY(error_of("a\n{% if %}").second.find("line 2") != std::string::npos);
        QVERIFY(error_of("{{ '\n\n' }}\n{{ 1 | nosuch }}").second.find("line 4") != std::string::npos);
    }

    void bounds_what_a_template_may_take_data() {
        QTest::addColumn<QString>("source");
        QTest::addRow("endless loops")
            << "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x{% endfor %}{% endfor "
               "%}{% endfor %}";
        QTest::addRow("empty endless loops")
            << "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        QTest::addRow("doubled text")
            << "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}";
        QTest::addRow("multiplied text") << "{{ 'abcdefgh' * 999999999 }}";
        QTest::addRow("multiplied list") << "{{ ([1] * 99999999) | length }}";
        QTest::addRow("doubled list")
            << "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
        QTest::addRow("replaced text")
            << "{% set ns = namespace(x='a') %}{% for i in range(9) %}{% set ns.x = ns.x.replace('a', 'a' * 1000) %}{% endfor %}";
        QTest::addRow("nested lists")
            << "{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}";
        QTest::addRow("nested methods")
            << "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x.index] %}{% endfor %}";
        QTest::addRow("nested loops' variables")
            << "{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% for j in [ns.x] %}{% set ns.x = loop %}{% endfor "
               "%}{% endfor %}";
        QTest::addRow("a list that shares itself")
            << "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}";
        QTest::addRow("its JSON")
            << "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}";
        QTest::addRow("its comparison")
            << "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] "
               "%}{% endfor %}{{ n.x == n.y }}";
        QTest::addRow("a macro that calls itself") << "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
        QTest::addRow("two macros that call each other")
            << "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}";
        QTest::addRow("a recursive loop") << "{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}";
        QTest::addRow("deep parentheses") << QString("{{ ") + QString("(").repeated(100000) + "1" + QString(")").repeated(100000) + " }}";
        QTest::addRow("long sums") << QString("{{ 1") + QString(" + 1").repeated(100000) + " }}";
        QTest::addRow("many nots") << QString("{{ ") + QString("not ").repeated(100000) + "1 }}";
        QTest::addRow("many minuses") << QString("{{ ") + QString("-").repeated(100000) + "1 }}";
        QTest::addRow("many ifs") << QString("{% if 1 %}").repeated(10000) + QString("{% endif %}").repeated(10000);
        QTest::addRow("deep lists") << QString("{{ ") + QString("[").repeated(100000) + QString("]").repeated(100000) + " }}";
        QTest::addRow("many filters") << QString("{{ 1 ") + QString("|string").repeated(100000) + " }}";
        QTest::addRow("powers") << "{{ 9 ** 9 ** 9 }}";
        QTest::addRow("wide padding") << "{{ 'a'.center(99999999999) }}";
        QTest::addRow("wide indent") << "{{ ('\n' * 60000000) | indent(1000000, blank=true) }}";
        QTest::addRow("a long date") << "{{ strftime_now('%c' * 100000) }}";
        QTest::addRow("many scopes kept")
            << "{% for i in range(99999) %}{% for j in range(99999) %}{% macro m() %}{% endmacro %}{% endfor %}{% endfor %}";
    }

    void bounds_what_a_template_may_take() {
        QFETCH(QString, source);
        auto start = std::clock();
        auto [code, message] = error_of(source.toStdString());
        QVERIFY2(code == "chat.limit" || code == "chat.syntax" || code == "chat.template", (code + message.substr(0, 200)).c_str());
        double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        QVERIFY2(seconds < 10, std::to_string(seconds).c_str());
    }

    void reaches_nothing_but_its_values_data() {
        QTest::addColumn<QString>("source");
        for (const char* source :
             {"{{ ''.__class__ }}", "{{ [].__class__.__base__.__subclasses__() }}", "{{ messages.__init__ }}",
              "{{ ''['__class__'] }}", "{{ ''|attr('__class__') }}", "{{ [1]|map(attribute='__class__')|list }}",
              "{{ cycler.__init__.__globals__ }}", "{{ range.__globals__ }}", "{{ self.__init__ }}", "{{ config.x }}",
              "{{ namespace(__class__=1) }}", "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
              "{{ lipsum() }}", "{{ open('/etc/passwd') }}", "{{ messages.append(1) }}", "{{ {}.update({}) }}",
              "{% import 'os' as os %}", "{% include '/etc/passwd' %}", "{% extends 'a' %}"})
            QTest::addRow("%s", source) << source;
    }

    void reaches_nothing_but_its_values() {
        QFETCH(QString, source);
        auto [code, message] = error_of(source.toStdString());
        QVERIFY2(code == "chat.template" || code == "chat.syntax", (code + ": " + message).c_str());
    }

    void survives_every_cut_of_a_template() {
        const OrderedJson& all = golden();
        std::string source = all["templates"]["llama3.1"];
        for (std::size_t length = 0; length < source.size(); length += 3) error_of(source.substr(0, length));
        for (std::size_t at = 0; at < source.size(); at += 7) {
            std::string broken = source;
            broken[at] = "{}%'\"(|.\x80"[at % 9];
            error_of(broken, all["conversations"]["multi"]);
        }
    }

    void messages_must_be_a_list_of_objects() {
        QCOMPARE(error_of("x", OrderedJson("text")).first, std::string("chat.messages"));
        auto [code, message] = error_of("x", OrderedJson::parse(R"([{"role": "user", "content": ""}, 3])"));
        QCOMPARE(code, std::string("chat.messages"));
        QVERIFY(message.find("message 2") != std::string::npos);
    }

    void texts_that_are_not_utf8_come_out_repaired() {
        OrderedJson messages = OrderedJson::array({{{"role", "user"}, {"content", "a\xFFz"}}});
        QCOMPARE(render("{{ messages[0].content }}", messages), std::string("a\xEF\xBF\xBDz"));
    }
};

QTEST_GUILESS_MAIN(ChatTemplateTest)
#include "chat_template_test.moc"
