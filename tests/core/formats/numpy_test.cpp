#include "core/formats/numpy.h"

#include <QtTest>

#include "tests/core/formats/files.h"

using namespace qlora::formats;
using namespace qlora::formats::testing;

namespace {

QByteArray numpy(const QByteArray& header, int data, QByteArray version = QByteArray("\1\0", 2)) {
    QByteArray length =
        version[0] == 1 ? raw(static_cast<quint16>(header.size())) : raw(static_cast<quint32>(header.size()));
    return "\x93NUMPY" + version + length + header + QByteArray(data, 'd');
}

QByteArray dictionary(const QByteArray& descr, const QByteArray& order, const QByteArray& shape) {
    return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }   \n";
}

}  // namespace

class NumpyTest : public QObject {
    Q_OBJECT
    Folder folder_;
    const std::filesystem::path golden_ = QLORA_SOURCE_DIR "/tests/golden/formats";

  private slots:
    void what_numpy_wrote_is_read_and_written_again_byte_for_byte() {
        for (const char* name : {"matrix.npy", "row.npy", "scalar.npy"}) {
            NumpyArray array = read_numpy(golden_ / name);
            auto path = folder_ / name;
            write_numpy(path, array.dtype, array.shape, array.data);
            QCOMPARE(bytes_of(path), bytes_of(golden_ / name));
        }
        NumpyArray matrix = read_numpy(golden_ / "matrix.npy");
        QCOMPARE(matrix.shape, (std::vector<std::int64_t>{2, 3}));
        float last;
        std::memcpy(&last, matrix.data.data() + 20, sizeof(last));
        QCOMPARE(last, 5.f);
        QCOMPARE(read_numpy(golden_ / "row.npy").dtype, DType::i64);
        QVERIFY(read_numpy(golden_ / "scalar.npy").shape.empty());
        QCOMPARE(outcome_of([&] { read_numpy(golden_ / "fortran.npy"); }).code, std::string("numpy.order"));
    }

    void a_malformed_file_is_refused_data() {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QByteArray>("code");
        auto row = [](const char* name, const QByteArray& bytes, const char* code) {
            QTest::newRow(name) << bytes << QByteArray(code);
        };
        const QByteArray fine = dictionary("'<f4'", "False", "(2, 3)");
        row("fine", numpy(fine, 24), "");
        row("fine, version 2", numpy(fine, 24, QByteArray("\2\0", 2)), "");
        row("fine, version 3", numpy(fine, 24, QByteArray("\3\0", 2)), "");
        row("fine, other order of keys", numpy("{'shape': (2,), 'descr': '<f4', 'fortran_order': False}", 8),
            "");
        row("fine, scalar", numpy(dictionary("'<f4'", "False", "()"), 4), "");
        row("empty file", "", "numpy.header");
        row("cut short", numpy(fine, 24).left(30), "numpy.header");
        row("bad magic", "X" + numpy(fine, 24).mid(1), "numpy.header");
        row("version 4", numpy(fine, 24, QByteArray("\4\0", 2)), "numpy.header");
        row("header of 2^32 - 1", QByteArray("\x93NUMPY\2\0", 8) + raw<quint32>(~0u), "numpy.header");
        row("no dictionary", numpy("[]", 24), "numpy.header");
        row("a key is missing", numpy("{'descr': '<f4', 'shape': (2, 3)}", 24), "numpy.header");
        row("a key twice", numpy("{'descr': '<f4', 'descr': '<f4', 'shape': (2, 3)}", 24), "numpy.header");
        row("text behind", numpy(fine + "x", 24), "numpy.header");
        row("big-endian", numpy(dictionary("'>f4'", "False", "(2, 3)"), 24), "numpy.dtype");
        row("objects, pickled", numpy(dictionary("'|O'", "False", "(2, 3)"), 24), "numpy.dtype");
        row("a structured type", numpy(dictionary("[('a', '<f4')]", "False", "(2, 3)"), 24), "numpy.dtype");
        row("Fortran order", numpy(dictionary("'<f4'", "True", "(2, 3)"), 24), "numpy.order");
        row("a negative dimension", numpy(dictionary("'<f4'", "False", "(-2, 3)"), 24), "numpy.shape");
        row("a product that wraps", numpy(dictionary("'<f4'", "False", "(4294967296, 4294967296)"), 0),
            "numpy.shape");
        row("bytes that wrap", numpy(dictionary("'<f4'", "False", "(4611686018427387904,)"), 0),
            "numpy.shape");
        row("a fraction", numpy(dictionary("'<f4'", "False", "(2.0, 3)"), 24), "numpy.header");
        row("too little data", numpy(fine, 23), "numpy.size");
        row("too much data", numpy(fine, 25), "numpy.size");
    }
    void a_malformed_file_is_refused() {
        QFETCH(QByteArray, bytes);
        QFETCH(QByteArray, code);
        auto path = folder_.put("f.npy", bytes);
        Outcome outcome = outcome_of([&] { read_numpy(path); });
        QVERIFY2(outcome.code == code.toStdString(), (outcome.code + " " + outcome.message).c_str());
    }

    void what_does_not_fit_is_not_written() {
        std::byte data[4]{};
        std::int64_t two[] = {2}, four[] = {4};
        auto path = folder_ / "w.npy";
        QCOMPARE(outcome_of([&] { write_numpy(path, DType::f32, two, data); }).code,
                 std::string("numpy.write"));
        QCOMPARE(outcome_of([&] { write_numpy(path, DType::bf16, two, data); }).code,
                 std::string("numpy.write"));
        write_numpy(path, DType::u8, four, data);
        QCOMPARE(read_numpy(path).shape, std::vector<std::int64_t>(four, four + 1));
    }
};

QTEST_GUILESS_MAIN(NumpyTest)
#include "numpy_test.moc"
