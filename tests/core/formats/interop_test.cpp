#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>
#include <QtTest>

#include "core/formats/safetensors.h"
#include "tests/core/formats/files.h"

using namespace qlora::formats;
using namespace qlora::formats::testing;

// Case S14 against Python's safetensors itself, where ./dev setup has put it.
class InteropTest : public QObject {
    Q_OBJECT
    Folder folder_;
    const QString python_ = QLORA_DEPS_DIR "/peers/bin/python";

    // What the peer says of the file, having written it first when asked to.
    QJsonObject peer(const QString& action, const std::filesystem::path& path) {
        QProcess process;
        process.start(python_, {QLORA_SOURCE_DIR "/tests/core/formats/interop.py", action,
                                QString::fromStdString(path.string())});
        process.waitForFinished(240000);
        if (process.exitCode() != 0) qWarning("%s", process.readAllStandardError().constData());
        return QJsonDocument::fromJson(process.readAllStandardOutput()).object();
    }

    static QString torch_name(DType dtype) {
        switch (dtype) {
            case DType::f32:
                return "float32";
            case DType::bf16:
                return "bfloat16";
            case DType::f16:
                return "float16";
            case DType::i64:
                return "int64";
            case DType::u8:
                return "uint8";
            case DType::f8_e4m3:
                return "float8_e4m3fn";
            default:
                return QString::fromUtf8(name(dtype).data());
        }
    }

    static void compare(const SafetensorsFile& file, const QJsonObject& said) {
        QJsonObject tensors = said["tensors"].toObject();
        QCOMPARE(static_cast<std::size_t>(tensors.size()), file.tensors().size());
        for (const TensorView& tensor : file.tensors()) {
            QJsonArray theirs = tensors[QString::fromStdString(tensor.name)].toArray();
            QCOMPARE(theirs[0].toString(), torch_name(tensor.dtype));
            QJsonArray shape;
            for (auto dimension : tensor.shape) shape << static_cast<qint64>(dimension);
            QCOMPARE(theirs[1].toArray(), shape);
            qint64 sum = 0;
            for (std::byte byte : tensor.data) sum += static_cast<qint64>(byte);
            QCOMPARE(theirs[2].toInteger(), sum);
        }
        QCOMPARE(static_cast<std::size_t>(said["metadata"].toObject().size()), file.metadata().size());
        for (const auto& [key, value] : file.metadata())
            QCOMPARE(said["metadata"].toObject()[QString::fromStdString(key)].toString(),
                     QString::fromStdString(value));
    }

  private slots:
    void initTestCase() {
        if (!QFile::exists(python_)) QSKIP("the peers are not installed (./dev setup peers)");
    }

    void s14_python_reads_what_is_written_here() {
        QByteArray bytes;
        for (int i = 0; i < 240; ++i) bytes += static_cast<char>(i * 7);
        std::vector<TensorView> tensors;
        for (DType dtype : {DType::f32, DType::bf16, DType::f16, DType::i64, DType::u8, DType::f8_e4m3}) {
            auto size = static_cast<std::size_t>(bytes_of_type(dtype));
            tensors.push_back({"w\u00f6rt/" + std::string(name(dtype)),
                               dtype,
                               {5, 3},
                               std::as_bytes(std::span(bytes.constData(), 15 * size))});
        }
        tensors.push_back({"scalar", DType::f32, {}, std::as_bytes(std::span(bytes.constData(), 4))});
        tensors.push_back({"none", DType::f32, {0, 3}, {}});
        auto path = folder_ / "ours.safetensors";
        write_safetensors(path, tensors, {{"format", "pt"}, {"quote", "\"\\\n\u00fc"}});
        compare(SafetensorsFile(path), peer("describe", path));
    }

    void s14_what_python_writes_is_read_here() {
        auto path = folder_ / "theirs.safetensors";
        QJsonObject said = peer("write", path);
        compare(SafetensorsFile(path), said);
    }

  private:
    static int bytes_of_type(DType dtype) { return qlora::formats::bytes(dtype); }
};

QTEST_GUILESS_MAIN(InteropTest)
#include "interop_test.moc"
