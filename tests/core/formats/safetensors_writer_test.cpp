#include <QtTest>

#include "core/formats/safetensors.h"
#include "tests/core/formats/files.h"

using namespace qlora;
using namespace qlora::formats;
using namespace qlora::formats::testing;

class SafetensorsWriterTest : public QObject {
    Q_OBJECT
    Folder folder_;
    const std::filesystem::path golden_ = QLORA_SOURCE_DIR "/tests/golden/formats/types.safetensors";

  private slots:
    void cleanup() { set_io_fault(nullptr); }

    void s14_what_python_wrote_is_written_again_byte_for_byte() {
        SafetensorsFile python(golden_);
        QCOMPARE(python.tensors().size(), 24u);
        std::vector<TensorView> shuffled(python.tensors().rbegin(), python.tensors().rend());
        auto path = folder_ / "again.safetensors";
        write_safetensors(path, shuffled, python.metadata());
        QCOMPARE(bytes_of(path), bytes_of(golden_));
        // The control: another name gives another file.
        shuffled[0].name += "x";
        write_safetensors(path, shuffled, python.metadata());
        QVERIFY(bytes_of(path) != bytes_of(golden_));
    }

    void s14_pythons_types_and_values_are_read() {
        SafetensorsFile file(golden_);
        QCOMPARE(file.metadata().at("format"), std::string("pt"));
        QCOMPARE(file.at("bfloat16.2").dtype, DType::bf16);
        QCOMPARE(file.at("float4_e2m1fn_x2.1").shape, (std::vector<std::int64_t>{16}));
        QCOMPARE(file.at("none").shape, (std::vector<std::int64_t>{0, 4}));
        QVERIFY(file.at("scalar").shape.empty());
        float matrix[6];
        std::memcpy(matrix, file.at("matrix").data.data(), sizeof(matrix));
        for (int i = 0; i < 6; ++i) QCOMPARE(matrix[i], static_cast<float>(i));
        QVERIFY(file.find("n\u00e4me \"quoted\"\n"));
    }

    void the_header_is_padded_to_eight_bytes() {
        for (int length = 1; length < 20; ++length) {
            QByteArray data(1, 'd');
            TensorView tensor{
                std::string(static_cast<std::size_t>(length), 'n'), DType::u8, {1}, span_of(data)};
            auto path = folder_ / "padded.safetensors";
            write_safetensors(path, std::span<const TensorView>(&tensor, 1));
            quint64 header;
            std::memcpy(&header, bytes_of(path).constData(), 8);
            QCOMPARE(header % 8, 0u);
            QCOMPARE(SafetensorsFile(path).at(tensor.name).shape.size(), 1u);
        }
    }

    void bytes_may_be_made_while_the_file_is_written() {
        TensorToWrite tensor{"a", DType::u16, {3}, [](FileWriter& writer) {
                                 writer.write("ab");
                                 writer.write("cdef");
                             }};
        auto path = folder_ / "made.safetensors";
        write_safetensors(path, std::span<const TensorToWrite>(&tensor, 1));
        SafetensorsFile file(path);
        QCOMPARE(std::memcmp(file.at("a").data.data(), "abcdef", 6), 0);
    }

    void what_does_not_fit_is_refused_and_the_old_file_stays_data() {
        QTest::addColumn<QByteArray>("name");
        QTest::addColumn<qint64>("elements");
        QTest::addColumn<int>("bytes");
        QTest::newRow("too few bytes") << QByteArray("a") << qint64(4) << 3;
        QTest::newRow("too many bytes") << QByteArray("a") << qint64(4) << 5;
        QTest::newRow("a negative dimension") << QByteArray("a") << qint64(-4) << 4;
        QTest::newRow("2^63 bytes") << QByteArray("a") << qint64(INT64_MAX) << 4;
        QTest::newRow("the metadata's name") << QByteArray("__metadata__") << qint64(4) << 4;
        QTest::newRow("a name with NUL") << QByteArray("a\0b", 3) << qint64(4) << 4;
        QTest::newRow("a name that is not UTF-8") << QByteArray("\xFF") << qint64(4) << 4;
        QTest::newRow("a name given twice") << QByteArray("twin") << qint64(4) << 4;
    }
    void what_does_not_fit_is_refused_and_the_old_file_stays() {
        QFETCH(QByteArray, name);
        QFETCH(qint64, elements);
        QFETCH(int, bytes);
        QByteArray data(bytes, 'd'), fine(4, 'd');
        std::vector<TensorView> tensors{{"twin", DType::u8, {4}, span_of(fine)},
                                        {name.toStdString(), DType::u8, {elements}, span_of(data)}};
        auto path = folder_.put("old.safetensors", "old");
        Outcome outcome = outcome_of([&] { write_safetensors(path, tensors); });
        QCOMPARE(outcome.code, std::string("safetensors.write"));
        QCOMPARE(bytes_of(path), QByteArray("old"));
        tensors[1] = {"other", DType::u8, {4}, span_of(fine)};
        write_safetensors(path, tensors);
        QCOMPARE(SafetensorsFile(path).tensors().size(), 2u);
    }

    void metadata_that_is_not_utf8_is_refused() {
        auto path = folder_ / "m.safetensors";
        QCOMPARE(outcome_of([&] {
                     write_safetensors(path, std::span<const TensorView>(), {{"k", "\xFF"}});
                 }).code,
                 std::string("safetensors.write"));
        write_safetensors(path, std::span<const TensorView>(), {{"k", "\u00ff\n"}});
        QCOMPARE(SafetensorsFile(path).metadata().at("k"), std::string("\u00ff\n"));
    }

    void s11_a_file_may_be_written_over_while_it_is_mapped() {
        QByteArray first(1 << 16, 'a');
        TensorView tensor{"w", DType::u8, {1 << 16}, span_of(first)};
        auto path = folder_ / "mapped.safetensors";
        write_safetensors(path, std::span<const TensorView>(&tensor, 1));
        SafetensorsFile mapped(path);
        std::vector<TensorView> twice{mapped.at("w"), mapped.at("w")};
        twice[1].name = "v";
        write_safetensors(path, twice);
        QCOMPARE(mapped.at("w").data.back(), std::byte('a'));
        mapped.check();
        SafetensorsFile again(path);
        QVERIFY(std::ranges::equal(again.at("v").data, mapped.at("w").data));
    }

    void a_full_disk_at_any_moment_leaves_the_old_file() {
        QByteArray data(4, 'd');
        std::vector<TensorView> tensors{{"a", DType::u8, {4}, span_of(data)},
                                        {"b", DType::u8, {4}, span_of(data)}};
        auto path = folder_.put("old.safetensors", "old");
        int fail_at = 0;
        for (bool failed = true; failed; ++fail_at) {
            int calls = 0;
            bool renamed = false;
            set_io_fault([&](std::string_view operation, const std::filesystem::path&) {
                if (calls++ == fail_at) return ENOSPC;
                renamed = renamed || operation == "rename";
                return 0;
            });
            failed = !outcome_of([&] { write_safetensors(path, tensors); }).code.empty();
            if (!renamed) QCOMPARE(bytes_of(path), QByteArray("old"));
        }
        set_io_fault(nullptr);
        QVERIFY2(fail_at > 7, "open, five writes, fsync, rename, fsync of the folder");
        QCOMPARE(SafetensorsFile(path).tensors().size(), 2u);
    }
};

QTEST_GUILESS_MAIN(SafetensorsWriterTest)
#include "safetensors_writer_test.moc"
