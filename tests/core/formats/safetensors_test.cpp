#include "core/formats/safetensors.h"

#include <QtTest>
#include <cmath>

#include "core/formats/file_kind.h"
#include "tests/core/formats/files.h"

using namespace qlora::formats;
using namespace qlora::formats::testing;

// Cases S1 to S9 and S13: each malformed file beside one that differs by as little as possible and opens.
class SafetensorsTest : public QObject {
    Q_OBJECT
    Folder folder_;

    // A whole file of one tensor "a" of two bytes, with parts replaced.
    static QByteArray one(const QByteArray& dtype, const QByteArray& shape, const QByteArray& offsets,
                          int data) {
        return safetensors("{" + entry("a", dtype, shape, offsets) + "}", data);
    }
    static QByteArray two(const QByteArray& a, const QByteArray& b, int data) {
        return safetensors("{" + entry("a", "U8", "[2]", a) + "," + entry("b", "U8", "[2]", b) + "}", data);
    }

  private slots:
    void a_malformed_file_is_refused_and_its_twin_opens_data() {
        QTest::addColumn<QByteArray>("bad");
        QTest::addColumn<QByteArray>("good");
        QTest::addColumn<QByteArray>("code");
        auto row = [](const char* name, const QByteArray& bad, const QByteArray& good, const char* code) {
            QTest::newRow(name) << bad << good << QByteArray(code);
        };
        const QByteArray empty = safetensors("{}", 0), fine = one("U8", "[2]", "[0,2]", 2);
        const QByteArray header = "{" + entry("a", "U8", "[2]", "[0,2]") + "}";

        row("S1 no bytes", "", empty, "safetensors.header");
        row("S1 7 bytes", QByteArray(7, '\0'), empty, "safetensors.header");
        row("S1 header length 0", raw<quint64>(0), empty, "safetensors.header");
        row("S1 header length 1", safetensors("{}", 0, 1), empty, "safetensors.header");
        row("S1 header length file - 8", safetensors(header, 2, header.size() + 2), fine,
            "safetensors.offsets");
        row("S1 header length file - 7", safetensors(header, 2, header.size() + 3), fine,
            "safetensors.header");
        row("S1 header length 100,000,001", safetensors(header, 2, 100000001), fine, "safetensors.header");
        row("S1 header length 2^63", safetensors(header, 2, 1ull << 63), fine, "safetensors.header");
        row("S1 header length 2^64 - 1", safetensors(header, 2, ~0ull), fine, "safetensors.header");
        row("S1 header length 2^64 - 8 wraps", safetensors(header, 2, ~0ull - 7), fine, "safetensors.header");

        row("S2 not UTF-8", safetensors("{" + entry("\xFF", "U8", "[2]", "[0,2]") + "}", 2), fine,
            "safetensors.header");
        row("S2 overlong UTF-8", safetensors("{" + entry("\xC0\xAF", "U8", "[2]", "[0,2]") + "}", 2), fine,
            "safetensors.header");
        row("S2 not JSON", safetensors("{oops}", 0), empty, "safetensors.header");
        row("S2 an array", safetensors("[]", 0), empty, "safetensors.header");
        row("S2 leading space, trailing spaces are fine", safetensors(" {}", 0), safetensors("{}      ", 0),
            "safetensors.header");
        row("S2 trailing text", safetensors("{}x", 0), safetensors("{} ", 0), "safetensors.header");
        row("S2 trailing NUL", safetensors(QByteArray("{}\0", 3), 0), safetensors("{} ", 0),
            "safetensors.header");
        row("S2 trailing comma", safetensors("{" + entry("a", "U8", "[2]", "[0,2]") + ",}", 2), fine,
            "safetensors.header");
        row("S2 half a surrogate pair", safetensors("{" + entry("\\ud800", "U8", "[2]", "[0,2]") + "}", 2),
            safetensors("{" + entry("\\ud83d\\ude00", "U8", "[2]", "[0,2]") + "}", 2), "safetensors.header");

        row("S3 one offset", one("U8", "[2]", "[0]", 2), fine, "safetensors.offsets");
        row("S3 three offsets", one("U8", "[2]", "[0,2,2]", 2), fine, "safetensors.offsets");
        row("S3 no array", one("U8", "[2]", "2", 2), fine, "safetensors.offsets");
        row("S3 negative", one("U8", "[2]", "[-2,0]", 2), fine, "safetensors.offsets");
        row("S3 a fraction", one("U8", "[2]", "[0,2.0]", 2), fine, "safetensors.offsets");
        row("S3 an exponent", one("U8", "[2]", "[0,2e0]", 2), fine, "safetensors.offsets");
        row("S3 a string", one("U8", "[2]", "[0,\"2\"]", 2), fine, "safetensors.offsets");
        row("S3 reversed", one("U8", "[2]", "[2,0]", 2), fine, "safetensors.offsets");
        row("S3 beyond the file", one("U8", "[3]", "[0,3]", 2), one("U8", "[3]", "[0,3]", 3),
            "safetensors.offsets");
        row("S3 2^63", one("U8", "[2]", "[0,9223372036854775808]", 2), fine, "safetensors.offsets");
        row("S3 2^64 - 1", one("U8", "[2]", "[18446744073709551615,1]", 2), fine, "safetensors.offsets");
        row("S3 overlapping", two("[0,2]", "[1,3]", 3), two("[0,2]", "[2,4]", 4), "safetensors.offsets");
        row("S3 the same bytes twice", two("[0,2]", "[0,2]", 2), two("[2,4]", "[0,2]", 4),
            "safetensors.offsets");
        row("S3 a hole", two("[0,2]", "[3,5]", 5), two("[0,2]", "[2,4]", 4), "safetensors.offsets");
        row("S3 not from 0", one("U8", "[2]", "[1,3]", 3), fine, "safetensors.offsets");
        row("S3 more data than tensors", one("U8", "[2]", "[0,2]", 3), fine, "safetensors.offsets");
        row("S3 data without tensors", safetensors("{}", 1), empty, "safetensors.offsets");
        row("S3 fewer bytes than the shape", one("F32", "[2]", "[0,4]", 4), one("F32", "[2]", "[0,8]", 8),
            "safetensors.offsets");

        row("S4 product wraps to 0", one("U8", "[4294967296,4294967296]", "[0,0]", 0),
            one("U8", "[4294967296,0]", "[0,0]", 0), "safetensors.shape");
        row("S4 product wraps, then 0", one("U8", "[4294967296,4294967296,0]", "[0,0]", 0),
            one("U8", "[4294967296,1,0]", "[0,0]", 0), "safetensors.shape");
        row("S4 product wraps to 4", one("U8", "[9223372036854775807,9223372036854775807,4]", "[0,4]", 4),
            one("U8", "[1,1,4]", "[0,4]", 4), "safetensors.shape");
        row("S4 bytes wrap", one("F64", "[2305843009213693952]", "[0,0]", 0), one("F64", "[0]", "[0,0]", 0),
            "safetensors.shape");
        row("S4 negative", one("U8", "[-2]", "[0,2]", 2), fine, "safetensors.shape");
        row("S4 2^63", one("U8", "[9223372036854775808]", "[0,0]", 0), one("U8", "[0]", "[0,0]", 0),
            "safetensors.shape");
        row("S4 a fraction", one("U8", "[2.5]", "[0,2]", 2), fine, "safetensors.shape");
        row("S4 no array", one("U8", "2", "[0,2]", 2), fine, "safetensors.shape");
        row("S4 nine dimensions", one("U8", "[1,1,1,1,1,1,1,1,2]", "[0,2]", 2),
            one("U8", "[1,1,1,1,1,1,1,2]", "[0,2]", 2), "safetensors.shape");
        row("S4 an odd number of 4-bit elements", one("F4", "[3]", "[0,2]", 2), one("F4", "[4]", "[0,2]", 2),
            "safetensors.shape");
        row("S4 6-bit elements that fill no bytes", one("F6_E2M3", "[3]", "[0,2]", 2),
            one("F6_E2M3", "[4]", "[0,3]", 3), "safetensors.shape");
        row("S4 a number that begins with 0", one("U8", "[02]", "[0,2]", 2), fine, "safetensors.header");

        row("S5 unknown type", one("F33", "[2]", "[0,2]", 2), fine, "safetensors.dtype");
        row("S5 type in lower case", one("u8", "[2]", "[0,2]", 2), fine, "safetensors.dtype");
        row("S5 type is a number", safetensors(R"({"a":{"dtype":8,"shape":[2],"data_offsets":[0,2]}})", 2),
            fine, "safetensors.dtype");

        row("S6 the same name twice",
            safetensors("{" + entry("a", "U8", "[2]", "[0,2]") + "," + entry("a", "U8", "[2]", "[2,4]") + "}",
                        4),
            two("[0,2]", "[2,4]", 4), "safetensors.duplicate");
        row("S6 the same name, once escaped",
            safetensors(
                "{" + entry("a", "U8", "[2]", "[0,2]") + "," + entry("\\u0061", "U8", "[2]", "[2,4]") + "}",
                4),
            two("[0,2]", "[2,4]", 4), "safetensors.duplicate");
        row("S6 a field twice",
            safetensors(R"({"a":{"dtype":"U8","shape":[2],"shape":[2],"data_offsets":[0,2]}})", 2), fine,
            "safetensors.duplicate");
        row("S6 a name with NUL", safetensors("{" + entry("a\\u0000b", "U8", "[2]", "[0,2]") + "}", 2),
            safetensors("{" + entry("a\\u0001b", "U8", "[2]", "[0,2]") + "}", 2), "safetensors.entry");
        row("S6 a name of 1 MB",
            safetensors("{" + entry(QByteArray(1 << 20, 'n'), "U8", "[2]", "[0,2]") + "}", 2),
            safetensors("{" + entry(QByteArray(4096, 'n'), "U8", "[2]", "[0,2]") + "}", 2),
            "safetensors.header");
        row("S6 no dtype", safetensors(R"({"a":{"shape":[2],"data_offsets":[0,2]}})", 2), fine,
            "safetensors.entry");
        row("S6 no shape", safetensors(R"({"a":{"dtype":"U8","data_offsets":[0,2]}})", 2), fine,
            "safetensors.entry");
        row("S6 no offsets", safetensors(R"({"a":{"dtype":"U8","shape":[2]}})", 2), fine,
            "safetensors.entry");
        row("S6 no object", safetensors(R"({"a":[0,2]})", 2), fine, "safetensors.entry");
        row("S6 unknown field too deep", safetensors(R"({"a":{"x":)" + QByteArray(100000, '[') + "}}", 0),
            safetensors(R"({"a":{"x":[[{"y":[1,{}]}]],"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2),
            "safetensors.header");

        row("S7 a number in the metadata", safetensors(R"({"__metadata__":{"epochs":3}})", 0),
            safetensors(R"({"__metadata__":{"epochs":"3"}})", 0), "safetensors.metadata");
        row("S7 metadata is a string", safetensors(R"({"__metadata__":"pt"})", 0),
            safetensors(R"({"__metadata__":{}})", 0), "safetensors.metadata");
        row("S7 metadata twice", safetensors(R"({"__metadata__":{},"__metadata__":{}})", 0),
            safetensors(R"({"__metadata__":{}})", 0), "safetensors.duplicate");
        row("S7 a metadata key twice", safetensors(R"({"__metadata__":{"a":"1","a":"2"}})", 0),
            safetensors(R"({"__metadata__":{"a":"1","b":"2"}})", 0), "safetensors.duplicate");
        row("S7 40 MB of metadata",
            safetensors(R"({"__metadata__":{"a":")" + QByteArray(40 << 20, 'x') + R"("}})", 0),
            safetensors(R"({"__metadata__":{"a":")" + QByteArray(1 << 20, 'x') + R"("}})", 0),
            "safetensors.header");
    }
    void a_malformed_file_is_refused_and_its_twin_opens() {
        QFETCH(QByteArray, bad);
        QFETCH(QByteArray, good);
        QFETCH(QByteArray, code);
        auto path = folder_.put("good.safetensors", good);
        Outcome outcome = outcome_of([&] { SafetensorsFile file(path); });
        QVERIFY2(outcome.code.empty(), outcome.message.c_str());
        path = folder_.put("bad.safetensors", bad);
        QElapsedTimer clock;
        clock.start();
        outcome = outcome_of([&] { SafetensorsFile file(path); });
        QCOMPARE(QByteArray::fromStdString(outcome.code), code);
        QVERIFY2(outcome.message.find(path.string()) != std::string::npos, outcome.message.c_str());
        QVERIFY(outcome.message.size() < 1000);
        QVERIFY(clock.elapsed() < 2000);
        QCOMPARE(bytes_of(path), bad);
    }

    void an_error_names_the_tensor_expected_and_got() {
        auto path = folder_.put("f.safetensors", one("F32", "[2,3]", "[0,20]", 20));
        Outcome outcome = outcome_of([&] { SafetensorsFile file(path); });
        for (const char* part : {"f.safetensors", "\"a\"", "F32 [2, 3]", "24", "20"})
            QVERIFY2(outcome.message.find(part) != std::string::npos, outcome.message.c_str());
        path = folder_.put("f.safetensors", safetensors("{\n\n  oops}", 0));
        outcome = outcome_of([&] { SafetensorsFile file(path); });
        QVERIFY2(outcome.message.find("line 3, column 3") != std::string::npos, outcome.message.c_str());
    }

    void tensors_come_in_the_order_of_their_bytes() {
        SafetensorsFile file(folder_.put("f.safetensors", two("[2,4]", "[0,2]", 4)));
        QCOMPARE(file.tensors().size(), 2u);
        QCOMPARE(file.tensors()[0].name, std::string("b"));
        QCOMPARE(file.tensors()[1].name, std::string("a"));
        QCOMPARE(file.find("a")->data.data(), file.find("b")->data.data() + 2);
        QVERIFY(!file.find("c"));
        QCOMPARE(outcome_of([&] { file.at("c"); }).code, std::string("tensor.missing"));
        file.check();
    }

    void s6_odd_but_legal_names_stay_apart() {
        SafetensorsFile file(folder_.put(
            "f.safetensors",
            safetensors("{" + entry("", "U8", "[]", "[0,1]") + "," + entry("a/b", "U8", "[]", "[1,2]") + "," +
                            entry("\u00e9", "U8", "[]", "[2,3]") + "," +
                            entry("e\u0301", "U8", "[]", "[3,4]") + "}",
                        4)));
        for (const char* name : {"", "a/b", "\u00e9", "e\u0301"}) QVERIFY2(file.find(name), name);
        QVERIFY(file.find("\u00e9") != file.find("e\u0301"));
    }

    void s7_metadata_is_read() {
        SafetensorsFile file(folder_.put(
            "f.safetensors",
            safetensors("{\"__metadata__\":{\"format\":\"pt\",\"note\":\"\\\"\\u00e9\\n\"}}", 0)));
        QCOMPARE(file.metadata().at("format"), std::string("pt"));
        QCOMPARE(file.metadata().at("note"), std::string("\"\u00e9\n"));
        QCOMPARE(file.tensors().size(), 0u);
    }

    void s8_scalars_and_empty_tensors_are_tensors() {
        SafetensorsFile file(
            folder_.put("f.safetensors", safetensors("{" + entry("none", "F32", "[0,7]", "[0,0]") + "," +
                                                         entry("scalar", "F32", "[]", "[0,4]") + "," +
                                                         entry("last", "BF16", "[3,0]", "[4,4]") + "}",
                                                     4)));
        QCOMPARE(file.at("none").elements(), 0);
        QCOMPARE(file.at("scalar").elements(), 1);
        QCOMPARE(file.at("scalar").data.size(), 4u);
        QVERIFY(file.at("last").data.empty());
    }

    void s5_s8_another_type_or_shape_than_wanted_is_named() {
        SafetensorsFile file(folder_.put("f.safetensors", one("F16", "[2,3]", "[0,12]", 12)));
        const TensorView& a = file.at("a");
        expect_dtype(a, DType::f16, "f");
        QCOMPARE(outcome_of([&] { expect_dtype(a, DType::bf16, "f"); }).code, std::string("tensor.dtype"));
        std::int64_t same[] = {2, 3}, transposed[] = {3, 2}, flat[] = {6};
        expect_shape(a, same, "f");
        QCOMPARE(outcome_of([&] { expect_shape(a, flat, "f"); }).code, std::string("tensor.shape"));
        Outcome outcome = outcome_of([&] { expect_shape(a, transposed, "f"); });
        QVERIFY2(outcome.message.find("transposed") != std::string::npos, outcome.message.c_str());
    }

    void s9_nan_and_infinity_are_found_data() {
        QTest::addColumn<int>("dtype");
        QTest::addColumn<QByteArray>("finite");
        QTest::addColumn<QByteArray>("broken");
        auto row = [](const char* name, DType dtype, const QByteArray& finite, const QByteArray& broken) {
            QTest::newRow(name) << static_cast<int>(dtype) << finite << broken;
        };
        row("F64 NaN", DType::f64, raw(-1e308), raw(std::nan("")));
        row("F64 -inf", DType::f64, raw(-1e308), raw(-INFINITY * 1.0));
        row("F32 NaN", DType::f32, raw(3e38f), raw(NAN));
        row("F32 inf", DType::f32, raw(3e38f), raw(INFINITY));
        row("F16 inf", DType::f16, raw<quint16>(0x7BFF), raw<quint16>(0x7C00));
        row("BF16 NaN", DType::bf16, raw<quint16>(0x7F7F), raw<quint16>(0xFFC0));
        row("F8_E5M2 inf", DType::f8_e5m2, raw<quint8>(0x7B), raw<quint8>(0xFC));
        row("F8_E4M3 NaN", DType::f8_e4m3, raw<quint8>(0x7E), raw<quint8>(0xFF));
        row("F8_E4M3FNUZ NaN", DType::f8_e4m3fnuz, raw<quint8>(0x7F), raw<quint8>(0x80));
        row("C64 NaN in the imaginary part", DType::c64, raw(1.f) + raw(2.f), raw(1.f) + raw(NAN));
    }
    void s9_nan_and_infinity_are_found() {
        QFETCH(int, dtype);
        QFETCH(QByteArray, finite);
        QFETCH(QByteArray, broken);
        constexpr int count = 5000, at = 4321;
        QByteArray bytes = "x";  // odd addresses must do
        for (int i = 0; i < count; ++i) bytes += finite;
        TensorView tensor{"w",
                          static_cast<DType>(dtype),
                          {count},
                          std::as_bytes(std::span(bytes.constData() + 1, bytes.size() - 1))};
        expect_finite(tensor, "f");
        bytes.replace(1 + at * finite.size(), broken.size(), broken);
        tensor.data = std::as_bytes(std::span(bytes.constData() + 1, bytes.size() - 1));
        Outcome outcome = outcome_of([&] { expect_finite(tensor, "f"); });
        QCOMPARE(outcome.code, std::string("tensor.not_finite"));
        QVERIFY2(outcome.message.find("4321") != std::string::npos, outcome.message.c_str());
    }

    void s13_pickles_and_other_files_are_refused_by_kind_data() {
        QTest::addColumn<QByteArray>("name");
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QByteArray>("code");
        QTest::newRow("S13 .bin of PyTorch")
            << QByteArray("pytorch_model.bin") << QByteArray("PK\x03\x04 archive/data.pkl")
            << QByteArray("file.pickle");
        QTest::newRow("S13 .pt, old")
            << QByteArray("model.pt") << QByteArray("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.")
            << QByteArray("file.pickle");
        QTest::newRow("S13 .pth in capitals, empty")
            << QByteArray("MODEL.PTH") << QByteArray() << QByteArray("file.pickle");
        QTest::newRow("S13 .ckpt") << QByteArray("last.ckpt") << QByteArray("anything")
                                   << QByteArray("file.pickle");
        QTest::newRow("S13 a pickle named .safetensors")
            << QByteArray("model.safetensors") << QByteArray("PK\x03\x04 archive/data.pkl")
            << QByteArray("file.pickle");
        QTest::newRow("S13 twin: safetensors named .bin")
            << QByteArray("model.bin") << safetensors("{}      ", 0) << QByteArray();
        QTest::newRow("a Git LFS pointer")
            << QByteArray("model.safetensors") << QByteArray("version https://git-lfs.github.com/spec/v1\n")
            << QByteArray("file.lfs_pointer");
        QTest::newRow("a web page") << QByteArray("model.safetensors") << QByteArray("<!DOCTYPE html><html>")
                                    << QByteArray("file.web_page");
        QTest::newRow("a GGUF file") << QByteArray("model.safetensors") << QByteArray("GGUF\x03")
                                     << QByteArray("file.kind");
    }
    void s13_pickles_and_other_files_are_refused_by_kind() {
        QFETCH(QByteArray, name);
        QFETCH(QByteArray, bytes);
        QFETCH(QByteArray, code);
        auto path = folder_.put(name.toStdString(), bytes);
        QCOMPARE(QByteArray::fromStdString(outcome_of([&] { SafetensorsFile file(path); }).code), code);
    }

    void a_missing_file_and_a_folder_are_named() {
        QCOMPARE(outcome_of([&] { SafetensorsFile file(folder_ / "none.safetensors"); }).code,
                 std::string("file.not_found"));
        QCOMPARE(outcome_of([&] { SafetensorsFile file(folder_.path()); }).code,
                 std::string("file.not_regular"));
    }
};

QTEST_GUILESS_MAIN(SafetensorsTest)
#include "safetensors_test.moc"
