#include <QtTest>
#include <filesystem>

#include "tests/core/formats/files.h"
#include "tests/fuzz/entry_points.h"

using namespace qlora::formats::testing;
namespace fs = std::filesystem;

// Feeds the fuzzers' corpora, and what they once found, through the same entry points.
class ReplayCorpus : public QObject {
    Q_OBJECT

  private slots:
    void nothing_but_errors_comes_of_it_data() {
        QTest::addColumn<QByteArray>("target");
        for (const char* target : {"safetensors", "gguf", "index", "json"})
            QTest::newRow(target) << QByteArray(target);
    }
    void nothing_but_errors_comes_of_it() {
        QFETCH(QByteArray, target);
        int files = 0;
        for (const auto& file :
             fs::directory_iterator(fs::path(QLORA_SOURCE_DIR "/tests/fuzz/corpus") / target.toStdString())) {
            QByteArray content = bytes_of(file.path());
            auto bytes = span_of(content);
            if (target == "safetensors") qlora::fuzz::read_safetensors(bytes);
            if (target == "gguf") qlora::fuzz::read_gguf(bytes);
            if (target == "index") qlora::fuzz::read_shard_index(bytes);
            if (target == "json") qlora::fuzz::read_json(bytes);
            ++files;
        }
        QVERIFY2(files > 0, "the corpus is empty");
    }
};

QTEST_GUILESS_MAIN(ReplayCorpus)
#include "replay_corpus_test.moc"
