#include "core/events/events.h"

#include <QTemporaryDir>
#include <QtTest>
#include <cmath>

#include "core/base/file.h"

using namespace qlora;
using namespace qlora::train;

namespace {

MemoryBytes some_bytes() {
    MemoryBytes bytes;
    for (std::size_t tag = 0; tag < memory_tag_count; ++tag) bytes.by_tag[tag] = std::int64_t{1} << (tag * 6);
    return bytes;
}

// One of every kind, no member at its default.
std::vector<Event> every_event() {
    return {Progressed{"quantizing", 3, 30},
            Loaded{"smollm2", "llama", "nf4", "cpu", "fp32", 134515008, 4884480, 400, 40, 12, 2, 150, 50, 10,
                   1.25, some_bytes(), 2},
            StepDone{7, 0.14, 1.8125, 2e-4, 0.1 + 0.2, 812, 233, 512.5, 1.6, true, some_bytes(), 1 << 30,
                     2 << 20, 3 << 20},
            Evaluated{25,
                      1.5,
                      {{"perplexity", 4.48}, {"accuracy", 0.5}},
                      true,
                      {{"Hi?", "Yes", "No", "\xE2\x9C\x93"}},
                      3.5},
            Checkpointed{50, "/runs/a/checkpoints/step-50", 0.25},
            MemorySample{0.5, some_bytes(), 9, 10, 11},
            Notice{"data.truncated", "12 rows were cut", "Raise data.max_length"},
            Finished{"/runs/a", "early_stopping", 120, 75, {{"validation_loss", 1.25}}, 123456789, 99.5},
            Failed{"device.memory", "out of memory", "step 3", "Lower the batch size", true}};
}

std::string code_of(const std::string& line) {
    try {
        from_json(parse_json(line, "line"));
    } catch (const Error& error) {
        return error.code();
    }
    return {};
}

}  // namespace

class EventsTest : public QObject {
    Q_OBJECT
    QTemporaryDir folder_;

  private slots:
    void every_kind_comes_back_as_it_went() {
        auto events = every_event();
        QCOMPARE(events.size(), std::variant_size_v<Event>);
        for (std::size_t i = 0; i < events.size(); ++i) {
            QCOMPARE(events[i].index(), i);
            std::string line = to_line(events[i]);
            QVERIFY(line.find('\n') == std::string::npos);
            Event back = from_json(parse_json(line, "line"));
            QCOMPARE(back.index(), i);
            QCOMPARE(to_line(back), line);
            // No member is lost: none of the default's values is left.
            OrderedJson written = to_json(events[i]), fresh;
            std::visit([&](const auto& event) { fresh = to_json(std::decay_t<decltype(event)>{}); },
                       events[i]);
            for (const auto& [key, value] : fresh.items()) {
                if (key == "event") continue;
                QVERIFY2(written[key] != value, key.c_str());
            }
        }
        const auto step = std::get<StepDone>(from_json(Json(to_json(events[2]))));
        QCOMPARE(step.grad_norm, 0.1 + 0.2);
        QCOMPARE(step.bytes, some_bytes());
    }

    void the_names_are_those_of_the_command_line() {
        QStringList names;
        for (const Event& event : every_event()) names << QString::fromStdString(to_json(event)["event"]);
        QCOMPARE(names.join(' '),
                 QString("progress loaded step evaluation checkpoint memory notice finished failed"));
        Json failed = Json(to_json(every_event().back()));
        QCOMPARE(failed["error"]["code"].get<std::string>(), "device.memory");
        QCOMPARE(Json(to_json(every_event()[2]))["bytes"]["adapters"].get<int>(), 64);
    }

    void a_loss_that_is_no_number_is_null_and_comes_back_as_nan() {
        StepDone step;
        step.loss = std::nan("");
        step.grad_norm = INFINITY;
        std::string line = to_line(step);
        QVERIFY2(line.find("\"loss\":null") != std::string::npos, line.c_str());
        auto back = std::get<StepDone>(from_json(parse_json(line, "line")));
        QVERIFY(std::isnan(back.loss));
        QVERIFY(std::isnan(back.grad_norm));
    }

    void broken_utf8_does_not_stop_a_run() {
        std::string line = to_line(Notice{"x", "bad \xFF byte", ""});
        QCOMPARE(std::get<Notice>(from_json(parse_json(line, "line"))).message, "bad \xEF\xBF\xBD byte");
    }

    void an_older_programs_line_is_read_with_defaults() {
        auto step =
            std::get<StepDone>(from_json(parse_json(R"({"event":"step","step":3,"loss":2})", "line")));
        QCOMPARE(step.step, 3);
        QCOMPARE(step.loss, 2.0);
        QCOMPARE(step.peak_bytes, 0);
    }

    void lines_that_are_no_events_are_refused() {
        QCOMPARE(code_of("[]"), "json.field");
        QCOMPARE(code_of("{}"), "json.field");
        QCOMPARE(code_of(R"({"event":"boom"})"), "event.unknown");
        QCOMPARE(code_of(R"({"event":"step","step":"3"})"), "json.field");
        QCOMPARE(code_of(R"({"event":"step","loss":"low"})"), "json.field");
        QCOMPARE(code_of(R"({"event":"step","bytes":{"weights":-1}})"), "json.field");
        QCOMPARE(code_of(R"({"event":"evaluation","samples":3})"), "json.field");
        QCOMPARE(code_of(R"({"event":"failed"})"), "json.field");
    }

    void a_line_cut_by_a_crash_is_left_out_and_a_broken_one_is_named() {
        std::filesystem::path file = folder_.filePath("events.jsonl").toStdString();
        std::string whole;
        for (const Event& event : every_event()) whole += to_line(event) + "\n";
        write_atomically(file, whole);
        QCOMPARE(read_events(file).size(), std::variant_size_v<Event>);
        write_atomically(file, whole.substr(0, whole.size() - 20));
        QCOMPARE(read_events(file).size(), std::variant_size_v<Event> - 1);
        write_atomically(file, to_line(every_event()[0]) + "\nnonsense\n");
        try {
            read_events(file);
            QFAIL("accepted");
        } catch (const Error& error) {
            QVERIFY2(error.message().find("events.jsonl line 2") != std::string::npos, error.what());
        }
    }

    void an_error_becomes_a_failed_event() {
        QVERIFY(failed(input_error("a.b", "f.json", "wrong")).input);
        Failed event = failed(failure("a.b", "f.json", "broke", "mend it"));
        QVERIFY(!event.input);
        QCOMPARE(event.message, "f.json: broke");
        QCOMPARE(event.hint, "mend it");
    }
};

QTEST_GUILESS_MAIN(EventsTest)
#include "events_test.moc"
