// Rows of the tasks beside text to go on with: labelled texts, and pairs read by an encoder and answered by a decoder.
#include <QtTest>
#include <numeric>

#include "core/data/batches.h"
#include "core/data/from_recipe.h"
#include "core/data/report.h"
#include "tests/core/data/tiny_tokenizer.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;
using namespace std::string_literals;
using Layout = ColumnRoles::Layout;

namespace {

const ColumnRoles labelled_roles{.layout = Layout::labelled, .text = "t", .label = "y"};
const ColumnRoles pair_roles{.layout = Layout::prompt_completion, .prompt = "q", .completion = "a"};
const TinyTokenizer bare{"", "<s>", "</s>", {}};

Table labelled(const std::string& rows) {
    std::vector<OrderedJson> list;
    for (const auto& row : OrderedJson::parse(rows)) list.push_back({{"t", row[0]}, {"y", row[1]}});
    return Table::from_rows(list);
}

Table pairs(const std::vector<std::pair<std::string, std::string>>& list) {
    std::vector<OrderedJson> rows;
    for (const auto& [q, a] : list) rows.push_back({{"q", q}, {"a", a}});
    return Table::from_rows(rows);
}

RenderOptions labelled_options(const Table& table, std::size_t max_length = 512, recipe::ProblemType type = recipe::ProblemType::automatic) {
    RenderOptions options{.max_length = max_length};
    options.labels = std::make_shared<const Labels>(read_labels(table, labelled_roles, all_rows(table), {.type = type}));
    return options;
}

// "<s> a b- </s>": tokens cut away marked by a minus, targets by a plus.
std::string words(const std::vector<TokenView>& views) {
    std::string text;
    for (const auto& view : views) text += (text.empty() ? "" : " ") + view.text + (view.trained ? "+" : "") + (view.cut ? "-" : "");
    return text;
}

std::vector<std::int32_t> kept(const std::vector<TokenView>& views, bool trained) {
    std::vector<std::int32_t> ids;
    for (const auto& view : views)
        if (!view.cut && view.trained == trained) ids.push_back(view.id);
    return ids;
}

std::vector<std::uint32_t> all_samples(const TokenizedDataset& data) {
    std::vector<std::uint32_t> samples(data.size());
    std::iota(samples.begin(), samples.end(), 0u);
    return samples;
}

}  // namespace

class TasksTest : public QObject {
    Q_OBJECT
    Folder folder_;
    std::shared_ptr<const tokenizer::Tokenizer> bare_;
    Json golden_;

    std::shared_ptr<const tokenizer::Tokenizer> golden_tokenizer(const std::string& name) {
        std::filesystem::create_directories(folder_.path(name));
        folder_.write(name + "/tokenizer.json", golden_[name]["tokenizer"].dump());
        folder_.write(name + "/tokenizer_config.json", golden_[name]["config"].dump());
        return tokenizer::Tokenizer::load(folder_.path(name));
    }

  private slots:
    void initTestCase() {
        bare_ = make_tokenizer(folder_, "bare", bare);
        golden_ = read_json_file(QLORA_SOURCE_DIR "/tests/golden/truncation.json");  // by truncation.py
    }

    void truncated_rows_have_the_ids_of_transformers_data() {
        QTest::addColumn<QString>("name");
        QTest::newRow("bert") << "bert";
        QTest::newRow("t5") << "t5";
    }
    void truncated_rows_have_the_ids_of_transformers() {
        QFETCH(QString, name);
        const auto tokenizer = golden_tokenizer(name.toStdString());
        const Json& rows = golden_[name.toStdString()]["rows"];
        int cut = 0;
        for (const Json& row : rows) {
            const auto text = row["text"].get<std::string>();
            const std::size_t max_length = row["max_length"], full_length = row["full_length"];
            const auto expected = row["ids"].get<std::vector<std::int32_t>>();
            const Table labels = labelled(Json::array({{text, "a"}, {"other", "b"}}).dump());
            const Renderer classifies(*tokenizer, labelled_roles, labelled_options(labels, max_length));
            const Sample sample = classifies.render(labels, 0);
            QVERIFY2(sample.ids == expected, row.dump().c_str());
            QCOMPARE(sample.full_length, full_length);
            QCOMPARE(sample.truncated, full_length > max_length);
            QVERIFY(classifies.render_prompt(labels, 0) == expected);
            QVERIFY(kept(classifies.describe(labels, 0), false) == expected);
            QCOMPARE(classifies.describe(labels, 0).size(), full_length);
            cut += sample.truncated;
            if (name != "t5") continue;
            const Table both = pairs({{text, text}});
            const Renderer answers(*tokenizer, pair_roles, {.max_length = max_length, .answers_apart = true});
            const Sample pair = answers.render(both, 0);
            QVERIFY(pair.ids == expected && pair.answer == expected);
            QVERIFY(answers.render_prompt(both, 0) == expected);
            QVERIFY(kept(answers.describe(both, 0), false) == expected && kept(answers.describe(both, 0), true) == expected);
        }
        QVERIFY(cut > 20 && cut < static_cast<int>(rows.size()));
    }

    void special_tokens_spelled_in_a_text_stay_text() {
        const auto tokenizer = golden_tokenizer("bert");
        const Table table = labelled(R"([["a [SEP] b","x"],["b","y"]])");
        const auto ids = Renderer(*tokenizer, labelled_roles, labelled_options(table)).render(table, 0).ids;
        QCOMPARE(std::count(ids.begin(), ids.end(), 3), 1);
        QCOMPARE(ids.back(), 3);
    }

    void a_cut_row_is_described_token_by_token() {
        const Table text = labelled(R"([["abcdef","x"],["b","y"]])");
        const Renderer labels(*bare_, labelled_roles, labelled_options(text, 4));
        QCOMPARE(words(labels.describe(text, 0)), "<s> a b c d- e- f-"s);
        const Table pair = pairs({{"abcd", "efgh"}});
        const Renderer answers(*bare_, pair_roles, {.max_length = 4, .answers_apart = true});
        QCOMPARE(words(answers.describe(pair, 0)), "<s> a b c d- <s>+ e+ f+ g+- h+- </s>+"s);
        const auto tokenizer = golden_tokenizer("bert");
        const Table closed = labelled(R"([["a b c d","x"],["b","y"]])");
        const Renderer closing(*tokenizer, labelled_roles, labelled_options(closed, 4));
        const auto described = words(closing.describe(closed, 0));
        QVERIFY2(described == "[CLS] a  b  c - d- [SEP]", described.c_str());  // a token's text runs on to the next one
    }

    void labels_are_rendered_beside_the_text() {
        const Table table = labelled(R"([["ab","x"],["c","y"],["d",null],["","x"]])");
        const Renderer renderer(*bare_, labelled_roles, labelled_options(table));
        const Sample sample = renderer.render(table, 1);
        QVERIFY((sample.ids == std::vector<std::int32_t>{256, 'c'}));
        QVERIFY((sample.trained == std::vector<std::uint8_t>{0, 0}));
        QCOMPARE(sample.labels, std::vector<float>{1});
        QCOMPARE(sample.targets(), 1u);
        EmptyReason reason{};
        QCOMPARE(renderer.render(table, 2, &reason).targets(), 0u);
        QCOMPARE(reason, EmptyReason::no_label);
        QCOMPARE(renderer.render(table, 3, &reason).targets(), 0u);
        QCOMPARE(reason, EmptyReason::no_text);
        QCOMPARE(renderer.prompt_text(table, 0), "ab"s);
        QCOMPARE(renderer.answer_text(table, 0), "x"s);
        QCOMPARE(code_of([&] { Renderer(*bare_, labelled_roles, {}); }), "data.labels"s);
    }

    void answers_stand_apart_without_a_chat_template() {
        TinyTokenizer chatty = bare;
        chatty.chat_template = "{% for message in messages %}{{ '<' + message['role'] + '>' + message['content'] }}{% endfor %}";
        const auto tokenizer = make_tokenizer(folder_, "chatty", chatty);
        const Renderer renderer(*tokenizer, pair_roles, {.system_prompt = "S", .answers_apart = true});
        QVERIFY(!renderer.uses_chat_template());
        const Sample sample = renderer.render(pairs({{"q", "a"}}), 0);
        QVERIFY((sample.ids == std::vector<std::int32_t>{256, 'S', '\n', 'q'}));
        QVERIFY((sample.answer == std::vector<std::int32_t>{256, 'a', 257}));
        QCOMPARE(sample.targets(), 3u);
    }

    void labelled_rows_make_batches_of_labels() {
        const Table table = labelled(R"([["ab","x"],["","x"],["c","y"],["d"," "],["e","x"]])");
        const Renderer renderer(*bare_, labelled_roles, labelled_options(table));
        const auto data = prepare(table, all_rows(table), renderer, nullptr, {}, 2);
        QCOMPARE(data.size(), 3u);
        std::map<std::string, std::vector<RowIndex>> dropped;
        for (const auto& entry : data.dropped()) dropped[entry.reason] = entry.first;
        QVERIFY((dropped == std::map<std::string, std::vector<RowIndex>>{{"the label is empty", {3}}, {"the text is empty", {1}}}));
        const Batch batch = make_batch(data, all_samples(data));
        QVERIFY((batch.ids == std::vector<std::int32_t>{256, 'a', 'b', 256, 'c', 256, 'e'}));
        QVERIFY((batch.starts == std::vector<std::int32_t>{0, 3, 5, 7}));
        QVERIFY((batch.labels == std::vector<float>{0, 1, 0}));
        QVERIFY((batch.rows == std::vector<RowIndex>{0, 2, 4}));
        QVERIFY(batch.answer_starts.empty());
        QVERIFY(std::ranges::all_of(batch.targets, [](auto target) { return target == ignored_target; }));
        QCOMPARE(batch.tokens(), 7);
        QCOMPARE(batch.trained_tokens(), 3);
        QCOMPARE(data.trained_tokens(), 3);
    }

    void several_labels_a_row_lie_side_by_side() {
        const Table table = labelled(R"([["a",["x","z"]],["b",[]],["c",["y"]]])");
        const auto data = prepare(table, all_rows(table), Renderer(*bare_, labelled_roles, labelled_options(table)));
        const std::vector<std::uint32_t> backwards{2, 0};
        QVERIFY((make_batch(data, backwards).labels == std::vector<float>{0, 1, 0, 1, 0, 1}));
        QCOMPARE(data.size(), 3u);  // no label at all is a label
        const Table numbers = labelled(R"([["a",[0.5,2]],["b",[1,-3]]])");
        const auto values = prepare(numbers, all_rows(numbers), Renderer(*bare_, labelled_roles, labelled_options(numbers)));
        QVERIFY((make_batch(values, all_samples(values)).labels == std::vector<float>{0.5, 2, 1, -3}));
    }

    void pairs_make_batches_of_answers() {
        const Table table = pairs({{"ab", "xyz"}, {"c", " "}, {"d", "w"}});
        const auto data = prepare(table, all_rows(table), Renderer(*bare_, pair_roles, {.answers_apart = true}));
        QCOMPARE(data.dropped_rows(), 1u);
        const Batch batch = make_batch(data, all_samples(data));
        QVERIFY((batch.ids == std::vector<std::int32_t>{256, 'a', 'b', 256, 'd'}));
        QVERIFY((batch.starts == std::vector<std::int32_t>{0, 3, 5}));
        QVERIFY((batch.targets == std::vector<std::int32_t>{256, 'x', 'y', 'z', 257, 256, 'w', 257}));
        QVERIFY((batch.answer_starts == std::vector<std::int32_t>{0, 5, 8}));
        QVERIFY((batch.positions == std::vector<std::int32_t>{0, 1, 2, 0, 1}));
        QVERIFY(batch.labels.empty());
        QCOMPARE(batch.tokens(), 13);
        QCOMPARE(batch.trained_tokens(), 8);
        QCOMPARE(data.trained_tokens(), 8);
        QCOMPARE(data.tokens(), 13);
    }

    void the_fingerprint_tells_labels_and_answers_apart() {
        const std::string rows[] = {R"([["a","x"],["b","y"]])", R"([["a","y"],["b","x"]])"};
        std::string prints[2];
        for (int i = 0; i < 2; ++i) {
            const Table table = labelled(rows[i]);
            prints[i] = prepare(table, all_rows(table), Renderer(*bare_, labelled_roles, labelled_options(table))).fingerprint();
        }
        QVERIFY(prints[0] != prints[1]);
        auto answered = [&](const char* answer) {
            const Table table = pairs({{"a", answer}});
            return prepare(table, all_rows(table), Renderer(*bare_, pair_roles, {.answers_apart = true})).fingerprint();
        };
        QVERIFY(answered("x") != answered("y"));
        QCOMPARE(answered("x"), answered("x"));
    }

    void a_row_with_an_unknown_label_stops_preparing_and_is_named() {
        const Table known = labelled(R"([["a","x"],["b","y"]])"), other = labelled(R"([["a","x"],["b","y"],["c","q"]])");
        const Renderer renderer(*bare_, labelled_roles, labelled_options(known));
        for (int threads : {1, 4}) {
            const auto error = error_of([&] { prepare(other, all_rows(other), renderer, nullptr, {}, threads); });
            QVERIFY(error);
            QCOMPARE(error->code(), "data.label"s);
            QVERIFY2(QString(error->what()).contains("row 3"), error->what());
        }
    }

    void the_report_counts_classes_and_warns_of_a_rare_one() {
        auto sentences = [&](int often) {
            Json rows = Json::array({{"a rare text", "rare"}, {"an unlabelled text", nullptr}});
            for (int i = 0; i < often; ++i) rows.push_back({"text " + std::to_string(i), "often"});
            const Table table = labelled(rows.dump());
            const DatasetReport report = make_report(table, nullptr, Renderer(*bare_, labelled_roles, labelled_options(table)));
            const std::vector<std::pair<std::string, std::size_t>> expected{{"often", often}, {"rare", 1}};
            if (report.classes != expected) return "wrong counts"s;
            std::string all;
            for (const auto& sentence : report.sentences) all += sentence + " ";
            return all;
        };
        const auto warning = "\"often\" has 5 rows, \"rare\" only 1: accuracy will say little, look at macro F1."s;
        QVERIFY2(sentences(5).find(warning) != std::string::npos, sentences(5).c_str());
        QVERIFY(sentences(5).find("1 row is left out: the label is empty.") != std::string::npos);
        QVERIFY(sentences(4).find("macro F1") == std::string::npos);
        QVERIFY(sentences(4) != "wrong counts"s);
    }

    void a_recipe_says_how_rows_are_rendered() {
        const Table table = labelled(R"([["ab","x"],["c","y"]])");
        recipe::Recipe recipe;
        recipe.task = recipe::Task::classification;
        recipe.data.max_length = 9;
        recipe.data.columns.label = "y";
        const RoleGuess guess = guess_roles(table, recipe);
        QVERIFY(guess.roles == labelled_roles);
        const RenderOptions options = render_options(recipe, table, guess.roles, all_rows(table), {"Y", "X"});
        QCOMPARE(options.max_length, 9u);
        QVERIFY((options.labels->names == std::vector<std::string>{"Y", "X"}));
        recipe.data.problem_type = recipe::ProblemType::multi_label;
        QCOMPARE(render_options(recipe, table, guess.roles, all_rows(table)).labels->type, recipe::ProblemType::multi_label);
        recipe.task = recipe::Task::seq2seq;
        recipe.data.columns = {};
        const Table both = pairs({{"ab", "c"}});
        const RoleGuess pair = guess_roles(both, recipe);
        QVERIFY(pair.roles == pair_roles);
        QVERIFY(render_options(recipe, both, pair.roles, all_rows(both)).answers_apart);
    }
};

QTEST_APPLESS_MAIN(TasksTest)
#include "tasks_test.moc"
