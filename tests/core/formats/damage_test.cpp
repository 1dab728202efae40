#include <unistd.h>

#include <QtTest>
#include <ctime>
#include <fstream>

#include "core/formats/gguf.h"
#include "core/formats/safetensors.h"
#include "core/formats/sharded_tensors.h"
#include "tests/core/formats/files.h"

using namespace qlora;
using namespace qlora::formats;
using namespace qlora::formats::testing;
namespace fs = std::filesystem;

namespace {

// The peak of this process's memory, of which the kernel forgets the past at each reset. Empty where it does
// not.
std::optional<qint64> peak_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
    return {};
}

bool reset_peak() {
    std::ofstream file("/proc/self/clear_refs");
    file << "5" << std::flush;
    return file.good();
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

QByteArray numbered(int i) {
    return QByteArray::number(i).rightJustified(7, '0');
}

QByteArray many_tensors(int count) {
    QByteArray header = "{";
    for (int i = 0; i < count; ++i)
        header += (i ? "," : "") +
                  entry("t" + numbered(i), "F32", "[1]",
                        "[" + QByteArray::number(4 * i) + "," + QByteArray::number(4 * i + 4) + "]");
    return safetensors(header + "}", 4 * count);
}

using Make = QByteArray (*)();
constexpr int most = 99000000;

}  // namespace

Q_DECLARE_METATYPE(Make)

// Cases S10 to S12 and G7: files that are cut, changed under the mapping, or as large as the format allows.
class DamageTest : public QObject {
    Q_OBJECT
    Folder folder_;

    // Opens every beginning of the file that `keep` names; all of them must be refused.
    template <typename File>
    void open_beginnings(const QByteArray& whole, const char* prefix, const std::vector<qsizetype>& lengths) {
        File(fuzz::MemoryFile(span_of(whole)).path());
        for (qsizetype length : lengths) {
            fuzz::MemoryFile cut(span_of(whole.left(length)));
            Outcome outcome = outcome_of([&] { File file(cut.path()); });
            QVERIFY2(outcome.code.starts_with(prefix),
                     qPrintable(QString("%1 bytes: %2").arg(length).arg(outcome.message.c_str())));
        }
    }

    static std::vector<qsizetype> lengths_of(const QByteArray& whole, qsizetype header) {
        std::vector<qsizetype> lengths;
        for (qsizetype i = 0; i < header; ++i) lengths.push_back(i);
        for (int i = 0; i < 64; ++i) lengths.push_back(whole.size() * i / 64);
        lengths.push_back(whole.size() - 1);
        return lengths;
    }

  private slots:
    void s10_a_safetensors_file_cut_anywhere_is_refused() {
        QByteArray whole = bytes_of(QLORA_SOURCE_DIR "/tests/golden/formats/types.safetensors");
        open_beginnings<SafetensorsFile>(whole, "safetensors.", lengths_of(whole, whole.size()));
    }

    void g7_a_gguf_file_cut_anywhere_is_refused() {
        QByteArray whole = Gguf()
                               .counts(2, 3)
                               .string("general.name", "tiny")
                               .array("tokens", 8, 2, gguf_texts({"a", "bc"}))
                               .array("scores", 6, 2, QByteArray(8, '\0'))
                               .tensor("t", {32, 2}, 2, 0)
                               .tensor("u", {3}, 24, 64)
                               .data(67);
        open_beginnings<GgufFile>(whole, "gguf.", lengths_of(whole, whole.size()));
    }

    void a_gguf_file_with_any_byte_changed_opens_or_is_refused() {
        QByteArray whole = bytes_of(QLORA_SOURCE_DIR "/tests/golden/formats/values.gguf");
        for (qsizetype i = 0; i < std::min<qsizetype>(whole.size(), 1200); ++i) {
            for (char c : {'\x00', '\x01', '\x7F', '\x80', '\xFF'}) {
                QByteArray changed = whole;
                changed[i] = c;
                fuzz::MemoryFile memory(span_of(changed));
                Outcome outcome = outcome_of([&] {
                    GgufFile file(memory.path());
                    for (const auto& [key, value] : file.metadata()) describe(value);
                    file.check();
                });
                QVERIFY2(
                    outcome.code.empty() || outcome.code.starts_with("gguf.") || outcome.code == "file.kind",
                    outcome.message.c_str());
            }
        }
    }

    void s11_a_file_cut_short_while_it_is_mapped_is_noticed() {
        const int pages = 1 << 20;
        auto path = folder_.put("model.safetensors",
                                safetensors("{" + entry("a", "U8", "[1048576]", "[0,1048576]") + "}", pages));
        SafetensorsFile file(path);
        ShardedTensors shards(folder_.path());
        QCOMPARE(file.at("a").data.back(), std::byte('d'));
        file.check();
        shards.check();
        fs::resize_file(path, 4096);
        quint64 sum = 0;
        for (std::byte byte : file.at("a").data) sum += static_cast<quint64>(byte);
        for (std::byte byte : shards.at("a").data) sum += static_cast<quint64>(byte);
        QVERIFY(sum < 2ull * pages * 'd');
        QCOMPARE(outcome_of([&] { file.check(); }).code, std::string("file.truncated"));
        QCOMPARE(outcome_of([&] { shards.check(); }).code, std::string("file.truncated"));
    }

    void g6_a_gguf_cut_short_while_it_is_mapped_is_noticed() {
        QList<QByteArray> texts(100000, "token");
        auto path =
            folder_.put("tokens.gguf", Gguf().counts(0, 1).array("tokens", 8, 100000, gguf_texts(texts)));
        GgufFile file(path);
        QCOMPARE(file.strings("tokens").size(), 100000u);
        fs::resize_file(path, 8192);
        QCOMPARE(outcome_of([&] { file.strings("tokens"); }).code, std::string("file.truncated"));
    }

    void s11_a_file_replaced_while_it_is_mapped_keeps_its_bytes() {
        auto path =
            folder_.put("r.safetensors", safetensors("{" + entry("a", "U8", "[3]", "[0,3]") + "}", 3));
        SafetensorsFile file(path);
        fs::rename(folder_.put("other", "other"), path);
        QCOMPARE(file.at("a").data[2], std::byte('d'));
        fs::remove(path);
        QCOMPARE(file.at("a").data[2], std::byte('d'));
        file.check();
    }

    void g3_arrays_changed_while_they_are_mapped_stay_inside() {
        auto path =
            folder_.put("t.gguf", Gguf().counts(0, 1).array("tokens", 8, 3, gguf_texts({"a", "b", "c"})));
        GgufFile file(path);
        QByteArray bytes = bytes_of(path);
        std::fstream change(path, std::ios::binary | std::ios::in | std::ios::out);
        change.seekp(bytes.lastIndexOf("a") - 8);
        change << raw<quint64>(1ull << 40).toStdString() << std::flush;
        QCOMPARE(outcome_of([&] { file.strings("tokens"); }).code, std::string("gguf.truncated"));
    }

    void s12_large_headers_cost_little_data() {
        QTest::addColumn<Make>("make");
        QTest::addColumn<QByteArray>("code");
        auto row = [](const char* name, Make make, const char* code = "") {
            QTest::newRow(name) << make << QByteArray(code);
        };
        row("S12 131,072 tensors", [] { return many_tensors(131072); });
        row(
            "S12 10^6 tensors", [] { return many_tensors(1000000); }, "safetensors.limit");
        row("S12 99 MB of spaces", [] { return safetensors("{" + QByteArray(most, ' ') + "}", 0); });
        row(
            "S12 99 MB in one metadata string",
            [] { return safetensors("{\"__metadata__\":{\"a\":\"" + QByteArray(most, 'x') + "\"}}", 0); },
            "safetensors.header");
        row("S12 99 MB in an unknown field", [] {
            return safetensors("{\"a\":{\"x\":[" + QByteArray("[],").repeated(most / 3) +
                                   "0],\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}",
                               1);
        });
        row(
            "S12 99 MB in one number",
            [] { return safetensors("{\"a\":{\"x\":" + QByteArray(most, '1') + "}}", 0); },
            "safetensors.entry");
        row(
            "S12 99 MB of names",
            [] {
                QByteArray names;
                for (int i = 0; names.size() < most; ++i)
                    names +=
                        (i ? "," : "") + entry(QByteArray(4000, 'n') + numbered(i), "U8", "[0]", "[0,0]");
                return safetensors("{" + names + "}", 0);
            },
            "safetensors.limit");
        row(
            "S12 99 MB of metadata entries",
            [] {
                QByteArray entries;
                for (int i = 0; entries.size() < most; ++i)
                    entries += (i ? ",\"" : "\"") + QByteArray::number(i, 36) + "\":\"\"";
                return safetensors("{\"__metadata__\":{" + entries + "}}", 0);
            },
            "safetensors.limit");
        row("G3 131,072 tensors", [] {
            Gguf file = Gguf().counts(131072, 0);
            for (int i = 0; i < 131072; ++i) file.tensor("t" + numbered(i), {0, 0, 0, 0}, 24, 0);
            return file.data(0);
        });
        row("G3 65,536 values", [] {
            Gguf file = Gguf().counts(0, 65536);
            for (int i = 0; i < 65536; ++i) file.value("k" + numbered(i), 0, "v");
            return QByteArray(file);
        });
        row("G3 2^21 empty strings", [] {
            return QByteArray(Gguf().counts(0, 1).array("strings", 8, 1 << 21, QByteArray(8 << 21, '\0')));
        });
        row("G3 2^23 bytes read as numbers", [] {
            return QByteArray(Gguf().counts(0, 1).array("integers", 0, 1 << 23, QByteArray(1 << 23, '\1')));
        });
        row(
            "G3 2^24 bytes in one array",
            [] {
                return QByteArray(
                    Gguf().counts(0, 1).array("integers", 0, 1 << 24, QByteArray(1 << 24, '\1')));
            },
            "gguf.limit");
    }
    void s12_large_headers_cost_little() {
        QFETCH(Make, make);
        QFETCH(QByteArray, code);
        QByteArray bytes = make();
        bool gguf = bytes.startsWith("GGUF");
        fuzz::MemoryFile memory(span_of(bytes));
        qint64 size = bytes.size();
        bytes.clear();
        bool measured = !sanitized && reset_peak();
        qint64 before = measured ? *peak_bytes() : 0;
        std::clock_t start = std::clock();  // other programs on the machine count for nothing
        Outcome outcome = outcome_of([&] {
            if (!gguf) return SafetensorsFile(memory.path()).check();
            GgufFile file(memory.path());
            if (file.has("strings")) QCOMPARE(file.strings("strings").size(), 1u << 21);
            if (file.has("integers")) QCOMPARE(file.integers("integers").size(), 1u << 23);
        });
        qint64 elapsed = 1000 * (std::clock() - start) / CLOCKS_PER_SEC;
        qint64 grown = measured ? *peak_bytes() - before : 0;
        qInfo("%lld bytes: %lld ms, memory grew by %lld MiB", size, elapsed, grown >> 20);
        QVERIFY2(outcome.code == code.toStdString(), (outcome.code + " " + outcome.message).c_str());
        QVERIFY(elapsed < (sanitized ? 20000 : 2000));
        QVERIFY(grown <= size + (64 << 20));
    }
};

QTEST_GUILESS_MAIN(DamageTest)
#include "damage_test.moc"
