#include "core/data/augment.h"

#include <QtTest>
#include <algorithm>
#include <sstream>

#include "core/data/tokenized.h"
#include "tests/core/data/tiny_tokenizer.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;
using Layout = ColumnRoles::Layout;

namespace {

const ColumnRoles labelled_roles{.layout = Layout::labelled, .text = "t", .label = "y"};
const ColumnRoles pair_roles{.layout = Layout::prompt_completion, .prompt = "q", .completion = "a"};
const std::string sentence = "The old movie was a good story, with happy people and a quick end.";

std::vector<std::string> words_of(const std::string& text) {
    std::string plain = text;
    std::ranges::replace_if(plain, [](char c) { return c == ',' || c == '.'; }, ' ');
    std::istringstream in(plain);
    return {std::istream_iterator<std::string>(in), {}};
}
std::vector<std::string> sorted(std::vector<std::string> words) {
    std::ranges::sort(words);
    return words;
}

recipe::Augment only(double synonyms, double swap, double deletion) {
    return {.copies = 4, .synonyms = synonyms, .swap = swap, .deletion = deletion};
}

}  // namespace

class AugmentTest : public QObject {
    Q_OBJECT

  private slots:
    void synonyms_share_the_first_sense() {
        const Thesaurus thesaurus(Thesaurus::usual_folder());
        const auto has = [&](const char* word, const char* synonym) {
            const auto found = thesaurus.synonyms(word);
            return std::ranges::find(found, std::string(synonym)) != found.end();
        };
        QVERIFY(has("movie", "film"));
        QVERIFY(has("movie", "picture"));
        QVERIFY(has("car", "automobile"));
        QVERIFY(has("buy", "purchase"));
        QVERIFY(has("quickly", "rapidly"));
        QVERIFY(!has("movie", "movie"));
        QVERIFY(!has("movie", "moving_picture"));
        for (const char* word : {"", "qqqq", "zzzzzz", "~", " ", "movies"}) QVERIFY(thesaurus.synonyms(word).empty());
        for (const char* word : {"aardvark", "zyrian", "zymurgy"}) static_cast<void>(thesaurus.synonyms(word));  // the ends of the files
        QCOMPARE(code_of([] { Thesaurus("/no/such/folder"); }), std::string("data.thesaurus"));
    }

    void a_variant_follows_from_seed_row_and_number() {
        const Augmenter augmenter(only(0.2, 0.2, 0.2), 1, labelled_roles), other(only(0.2, 0.2, 0.2), 2, labelled_roles);
        QCOMPARE(augmenter.vary(sentence, {5, 0}), sentence);
        QSet<QString> seen;
        int differ = 0;
        for (std::uint32_t copy = 1; copy <= 12; ++copy) {
            const auto varied = augmenter.vary(sentence, {5, copy});
            QCOMPARE(augmenter.vary(sentence, {5, copy}), varied);
            seen.insert(QString::fromStdString(varied));
            differ += other.vary(sentence, {5, copy}) != varied && augmenter.vary(sentence, {6, copy}) != varied;
        }
        QVERIFY(seen.size() >= 9 && differ >= 9);
    }

    void each_change_is_what_it_says() {
        const auto before = words_of(sentence);
        const Augmenter swaps(only(0, 0.3, 0), 3, labelled_roles), leaves_out(only(0, 0, 0.25), 3, labelled_roles), replaces(only(0.3, 0, 0), 3, labelled_roles);
        for (std::uint32_t copy = 1; copy <= 20; ++copy) {
            const auto swapped = words_of(swaps.vary(sentence, {0, copy}));
            QCOMPARE(sorted(swapped), sorted(before));
            QVERIFY(swapped != before);
            const auto shorter = words_of(leaves_out.vary(sentence, {0, copy}));
            QVERIFY(shorter.size() >= before.size() - 4 && shorter.size() <= before.size() - 3);
            QVERIFY(std::ranges::includes(sorted(before), sorted(shorter)));
            const auto replaced = words_of(replaces.vary(sentence, {0, copy}));
            QCOMPARE(replaced.size(), before.size());
            const Thesaurus thesaurus(Thesaurus::usual_folder());
            int changed = 0;
            for (std::size_t i = 0; i < before.size(); ++i) {
                if (replaced[i] == before[i]) continue;
                ++changed;
                const auto known = thesaurus.synonyms(before[i]);
                QVERIFY2(std::ranges::find(known, replaced[i]) != known.end(), (before[i] + " " + replaced[i]).c_str());
            }
            QVERIFY(changed >= 1 && changed <= 5);
        }
        QCOMPARE(leaves_out.vary("one", {0, 1}), std::string("one"));
        QCOMPARE(swaps.vary("", {0, 1}), std::string());
        QCOMPARE(swaps.vary("... !", {0, 1}), std::string("... !"));
        const auto capital = replaces.vary("Movie", {0, 1});
        QVERIFY(capital != "Movie" && capital[0] >= 'A' && capital[0] <= 'Z');
        for (std::uint32_t copy = 1; copy < 9; ++copy)  // bytes of other scripts stay whole
            QVERIFY(QString::fromUtf8(swaps.vary("Größe für schöne Häuser 日本語 текст", {0, copy}).c_str()).contains("日本語"));
    }

    void only_what_is_read_is_changed() {
        const Augmenter augmenter(only(0.3, 0.3, 0.3), 4, pair_roles);
        const Example example{.text = "", .messages = {{"system", sentence}, {"user", sentence}, {"assistant", sentence}, {"user", sentence}}};
        int first = 0, second = 0;
        for (std::uint32_t copy = 1; copy <= 9; ++copy) {
            const Example varied = augmenter.vary(example, {0, copy});
            QCOMPARE(varied.messages[0], example.messages[0]);
            QCOMPARE(varied.messages[2], example.messages[2]);
            first += varied.messages[1] != example.messages[1];
            second += varied.messages[3] != varied.messages[1];
        }
        QVERIFY(first == 9 && second >= 7);
        QCOMPARE(code_of([] { Augmenter(only(0, 1, 0), 1, {.layout = Layout::text, .text = "t"}); }), std::string("data.augment"));
    }

    void rare_classes_are_brought_up_to_the_commonest() {
        recipe::Augment options = only(0, 0.1, 0);
        options.copies = 0;
        options.balance = true;
        const Augmenter augmenter(options, 1, labelled_roles);
        const std::vector<RowIndex> rows = {0, 1, 2, 3, 4, 5, 6, 7};
        const auto plan = augmenter.plan(rows, std::vector<std::int64_t>{0, 0, 0, 0, 0, 1, 1, -1});
        QCOMPARE(plan.size(), 8u + 3u);
        QCOMPARE(plan[8], (Variant{5, 1}));
        QCOMPARE(plan[9], (Variant{6, 1}));
        QCOMPARE(plan[10], (Variant{5, 2}));
        QCOMPARE(augmenter.plan(rows, {}).size(), 8u);
        // Paraphrases count for their class.
        const std::vector<std::size_t> rewritten = {0, 0, 0, 0, 0, 1, 2, 5};
        QCOMPARE(augmenter.plan(rows, std::vector<std::int64_t>{0, 0, 0, 0, 0, 1, 1, -1}, rewritten).size(), 8u + 8u);
    }

    void prepared_rows_get_their_variants() {
        Folder folder;
        const auto tokenizer = make_tokenizer(folder, "tokenizer", TinyTokenizer{"", "<s>", "</s>", {}});
        std::vector<OrderedJson> list;
        for (int i = 0; i < 12; ++i) list.push_back({{"t", sentence + " " + std::to_string(i)}, {"y", i < 9 ? "a" : "b"}});
        list.push_back({{"t", ""}, {"y", "a"}});
        const Table table = Table::from_rows(list);
        RenderOptions options{.max_length = 512};
        options.labels = std::make_shared<const Labels>(read_labels(table, labelled_roles, all_rows(table)));
        const Renderer renderer(*tokenizer, labelled_roles, options);
        const auto plain = prepare(table, all_rows(table), renderer);
        recipe::Augment augment = only(0.1, 0.1, 0.1);
        augment.copies = 2;
        const Augmenter augmenter(augment, 1, labelled_roles);
        const auto augmented = prepare(table, all_rows(table), renderer, nullptr, {}, 2, &augmenter);
        QCOMPARE(augmented.size(), 3 * plain.size());
        QCOMPARE(augmented.dropped_rows(), 1u);
        for (std::size_t i = 0; i < plain.size(); ++i) {
            QVERIFY(std::ranges::equal(augmented.ids(i), plain.ids(i)));
            QCOMPARE(augmented.row(plain.size() + i), plain.row(i));
            QVERIFY(!std::ranges::equal(augmented.ids(plain.size() + i), plain.ids(i)));
            QCOMPARE(augmented.labels(plain.size() + i)[0], plain.labels(i)[0]);
        }
        QCOMPARE(prepare(table, all_rows(table), renderer, nullptr, {}, 1, &augmenter).fingerprint(), augmented.fingerprint());
        augment = only(0, 0, 0);
        augment.copies = 1;
        QCOMPARE(prepare(table, all_rows(table), renderer, nullptr, {}, 1, std::make_unique<Augmenter>(augment, 1, labelled_roles).get()).size(), plain.size());
        augment.mask = 0.3;
        const Augmenter masker(augment, 1, labelled_roles);
        const auto masked = prepare(table, all_rows(table), renderer, nullptr, {}, 1, &masker);
        QCOMPARE(masked.size(), 2 * plain.size());
        std::int64_t fewer = 0;
        for (std::size_t i = 0; i < plain.size(); ++i) {
            fewer += static_cast<std::int64_t>(plain.length(i)) - static_cast<std::int64_t>(masked.length(plain.size() + i));
            QCOMPARE(masked.ids(plain.size() + i)[0], plain.ids(i)[0]);  // <s> stays
        }
        QVERIFY(fewer > plain.tokens() / 5 && fewer < plain.tokens() / 2);
    }
};

QTEST_GUILESS_MAIN(AugmentTest)
#include "augment_test.moc"
