#include "core/data/paraphrases.h"

#include <QtTest>

#include "core/base/file.h"
#include "core/data/augment.h"
#include "core/data/tokenized.h"
#include "core/base/words.h"
#include "tests/core/data/tiny_tokenizer.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;

namespace {

const std::string source = "How can I get my 20 dollars back from the shop?";

std::vector<bool> changed(const std::string& before, const std::string& after) { return compare_words(Words(before), Words(after)).changed; }

Paraphrases some() {
    Paraphrases all;
    all.add("a b", {{"c d", 0.8, ""}, {"e", 0.1, "much shorter"}, {"f \"g\"\nh", 0.7, ""}});
    all.add("x", {});
    return all;
}

}  // namespace

class ParaphrasesTest : public QObject {
    Q_OBJECT

  private slots:
    void words_that_are_new_are_told() {
        QCOMPARE(changed("the old movie", "The good old film"), (std::vector{false, true, false, true}));
        QCOMPARE(changed("a b c", "a c"), (std::vector{false, false}));
        QCOMPARE(changed("", "a"), (std::vector{true}));
        QCOMPARE(changed("a", ""), std::vector<bool>());
        QCOMPARE(compare_words(Words("kitten sits"), Words("sits kitten now")).distance, std::size_t(2));
        QCOMPARE(compare_words(Words("a b c d"), Words("b c d e")).distance, std::size_t(2));
        QCOMPARE(Words("It's well-known, isn't it? ").joined(), std::string("It's well-known, isn't it? "));
        QCOMPARE(Words("It's well-known, isn't it?").words.size(), std::size_t(4));
    }

    void what_a_model_says_around_its_answer_is_taken_off() {
        for (const char* written : {"Get it back.", "  \"Get it back.\"\nHope this helps!", "Sure! Here it is: Get it back.", "In other words: 'Get it back.'",
                                    "Here is a rewritten sentence:\n“Get it back.”"})
            QCOMPARE(tidy_paraphrase(written), std::string("Get it back."));
        QCOMPARE(tidy_paraphrase(" \n "), std::string());
        QVERIFY(is_written("\n Yes.\n") && is_written("This:\n\nYes.\n") && !is_written("This:\n\nYes.") && !is_written("\n\n") && !is_written(""));
        QCOMPARE(tidy_paraphrase("Note: the shop is closed."), std::string("Note: the shop is closed."));
    }

    void words_alone_refuse_what_cannot_mean_the_same() {
        const std::vector<Paraphrase> others = {{"What must I do so that the shop returns my 20 dollars?", 0.9, ""}, {"Is there a way for the store to refund me 20 dollars?", 0.9, "strays"}};
        const auto reason = [&](const char* text) { return refuse_by_words(source, text, others); };
        QCOMPARE(reason("Is there a way for the store to refund me 20 dollars?"), std::string());  // the other was refused
        QCOMPARE(reason("What must I do so that a shop returns my 20 dollars?"), std::string("written before"));
        QCOMPARE(reason(""), std::string("nothing was written"));
        QCOMPARE(reason("?!"), std::string("nothing was written"));
        QCOMPARE(reason("how can i get my 20 dollars back from the shop"), std::string("hardly other words"));
        QCOMPARE(reason("Refund 20 dollars?"), std::string("much shorter"));
        QCOMPARE(reason("Is there a way for the store to refund me 25 dollars?"), std::string("other numbers"));
        QCOMPARE(reason("Is there no way for the store to refund me 20 dollars?"), std::string("a \"not\" came in"));
        QCOMPARE(reason("There is a way for the store to refund me 20 dollars."), std::string("no longer a question"));
        QCOMPARE(reason("tell me what the store needs to refund me 20 dollars"), std::string());
        QCOMPARE(reason(("I " + std::string(40, 'a') + " b c d e f g h i j k l m n o p q r s t u v w x y z 20?").c_str()), std::string("much longer"));
        QCOMPARE(refuse_by_words("I don’t like it.", "I do love this one.", {}), std::string("a \"not\" is gone"));
        QCOMPARE(refuse_by_words("It works.", "Does it work now?", {}), std::string("became a question"));
        QCOMPARE(refuse_by_words("how long does it take", "What time will that need?", {}), std::string());
        QCOMPARE(refuse_by_words("my interest hasnt been paid", "I have not got my interest.", {}), std::string());
        QCOMPARE(refuse_by_words("", "Is it?", {}), std::string());
    }

    void they_are_kept_a_text_a_line() {
        const std::string lines = some().lines();
        const Paraphrases back = Paraphrases::parse(lines);
        QVERIFY(std::ranges::equal(back.of("a b"), some().of("a b")));
        QVERIFY(back.knows("x") && back.of("x").empty() && !back.knows("y") && back.of("y").empty());
        QCOMPARE(back.kept(), std::size_t(2));
        QVERIFY(!Paraphrases::parse(lines.substr(0, lines.size() - 2)).knows("x"));  // torn off
        const Paraphrases damaged = Paraphrases::parse("nonsense\n{\"source\": 3}\n" + lines);
        QCOMPARE(damaged.lines(), lines);
        QCOMPARE(Paraphrases::read("/no/such/file").kept(), std::size_t(0));
    }

    void the_parts_that_are_read_are_put_into_other_words() {
        const Example talk{"", {{"system", "x"}, {"user", "a b"}, {"assistant", "a b"}, {"user", "q"}}};
        QCOMPARE(some().count(talk), std::size_t(2));
        QCOMPARE(some().count({"q", {}}), std::size_t(0));
        const Example second = some().apply(talk, 1);
        QCOMPARE(second.messages[1].content, std::string("f \"g\"\nh"));
        QCOMPARE(second.messages[2], talk.messages[2]);
        QCOMPARE(second.messages[3], talk.messages[3]);
        QCOMPARE(some().apply({"a b", {}}, 0).text, std::string("c d"));
        QCOMPARE(some().apply({"a b", {}}, 2).text, std::string("a b"));
    }

    void a_run_learns_from_them_beside_its_rows() {
        Folder folder;
        const auto tokenizer = make_tokenizer(folder, "tokenizer", TinyTokenizer{"", "<s>", "</s>", {}});
        const Table table = Table::from_rows({{{"t", "a b"}, {"y", "one"}}, {{"t", "x"}, {"y", "two"}}, {{"t", ""}, {"y", "two"}}});
        const ColumnRoles roles{.layout = ColumnRoles::Layout::labelled, .text = "t", .label = "y"};
        RenderOptions options{.max_length = 512};
        options.labels = std::make_shared<const Labels>(read_labels(table, roles, all_rows(table)));
        const Renderer renderer(*tokenizer, roles, options);
        recipe::Augment augment{.copies = 0, .synonyms = 0};
        augment.paraphrases = 3;
        const Augmenter augmenter(augment, 1, roles, std::make_shared<const Paraphrases>(some()));
        const auto variants = augmenter.plan(table, all_rows(table), renderer);
        QCOMPARE(variants.size(), std::size_t(3 + 2));
        const VariantView view = augmenter.describe(table, variants[4], renderer);
        QCOMPARE(view.change, std::string("paraphrase"));
        QCOMPARE(view.texts, std::vector<std::string>{"f \"g\"\nh"});
        const auto dataset = prepare(table, all_rows(table), renderer, nullptr, {}, 1, &augmenter);
        QCOMPARE(dataset.size(), std::size_t(4));
        QVERIFY(!std::ranges::equal(dataset.ids(2), dataset.ids(0)));
        QCOMPARE(dataset.labels(2)[0], dataset.labels(0)[0]);
        QCOMPARE(dataset.row(3), RowIndex(0));
        augment.paraphrases = 1;  // others were written for another recipe
        QCOMPARE(Augmenter(augment, 1, roles, std::make_shared<const Paraphrases>(some())).plan(table, all_rows(table), renderer).size(), std::size_t(4));
    }
};

QTEST_APPLESS_MAIN(ParaphrasesTest)
#include "paraphrases_test.moc"
