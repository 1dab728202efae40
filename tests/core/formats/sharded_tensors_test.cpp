#include "core/formats/sharded_tensors.h"

#include <sys/stat.h>

#include <QtTest>

#include "tests/core/formats/files.h"

using namespace qlora::formats;
using namespace qlora::formats::testing;
namespace fs = std::filesystem;

namespace {

QByteArray shard(const QList<QByteArray>& names) {
    QByteArray header;
    for (int i = 0; i < names.size(); ++i)
        header += (i ? "," : "") +
                  entry(names[i], "U8", "[2]",
                        "[" + QByteArray::number(2 * i) + "," + QByteArray::number(2 * i + 2) + "]");
    return safetensors("{" + header + "}", static_cast<int>(2 * names.size()));
}

QByteArray index_of(const QByteArray& map, const QByteArray& total = "6") {
    return "{\"metadata\":{\"total_size\":" + total + "},\"weight_map\":{" + map + "}}";
}

QByteArray mapped(const QByteArray& tensor, const QByteArray& shard) {
    return "\"" + tensor + "\":\"" + shard + "\"";
}

const QByteArray fine_map = mapped("a", "one.safetensors") + "," + mapped("b", "one.safetensors") + "," +
                            mapped("c", "two.safetensors");

}  // namespace

// Cases C9 to C11, each with the same folder and a good index beside it.
class ShardedTensorsTest : public QObject {
    Q_OBJECT

    static void fill(const Folder& folder, const QByteArray& index) {
        folder.put("one.safetensors", shard({"a", "b"}));
        folder.put("two.safetensors", shard({"c"}));
        folder.put("model.safetensors.index.json", index);
    }

  private slots:
    void a_bad_index_is_refused_data() {
        QTest::addColumn<QByteArray>("index");
        QTest::addColumn<QByteArray>("code");
        QTest::addColumn<QByteArray>("says");
        auto row = [](const char* name, const QByteArray& index, const char* code, const char* says = "") {
            QTest::newRow(name) << index << QByteArray(code) << QByteArray(says);
        };
        auto with_shard = [](const QByteArray& name) { return index_of(fine_map + "," + mapped("d", name)); };
        row("fine", index_of(fine_map), "");
        row("fine, without metadata", "{\"weight_map\":{" + fine_map + "}}", "");
        row("fine, total size as a float", index_of(fine_map, "6.0"), "");
        row("C9 ../x", with_shard("../two.safetensors"), "shards.name", "../two");
        row("C9 absolute", with_shard("/etc/passwd"), "shards.name");
        row("C9 a/../../b", with_shard("a/../../b"), "shards.name");
        row("C9 ..", with_shard(".."), "shards.name");
        row("C9 .", with_shard("."), "shards.name");
        row("C9 empty", with_shard(""), "shards.name");
        row("C9 backslash", with_shard("..\\\\two.safetensors"), "shards.name");
        row("C9 drive letter", with_shard("C:two.safetensors"), "shards.name");
        row("C9 UNC", with_shard("\\\\\\\\host\\\\share"), "shards.name");
        row("C9 a device", with_shard("/dev/zero"), "shards.name");
        row("C9 NUL", with_shard("two.safetensors\\u0000.json"), "shards.name");
        row("C9 a number", index_of(fine_map + ",\"d\":3"), "shards.index");
        row("C9 a link that leads out", with_shard("out.safetensors"), "shards.name", "out.safetensors");
        row("C9 a link to a device", with_shard("zero.safetensors"), "shards.name");
        row("C9 a pipe", with_shard("pipe.safetensors"), "file.not_regular");
        row("C9 a folder", with_shard("folder.safetensors"), "file.not_regular");
        row("C10 a shard is missing", with_shard("three.safetensors"), "shards.missing", "three.safetensors");
        row("C10 a tensor in no shard", with_shard("two.safetensors"), "shards.unmapped", "\"d\"");
        row("C10 a tensor in two shards", with_shard("again.safetensors"), "shards.twice", "\"a\"");
        row("C10 a tensor mapped twice", index_of(fine_map + "," + mapped("a", "two.safetensors")),
            "shards.twice", "\"a\"");
        row("C11 the map twice", "{\"weight_map\":{" + fine_map + "},\"weight_map\":{}}", "shards.index");
        row("C1 empty", "", "shards.index");
        row("C1 null", "null", "shards.index");
        row("C1 an array", "[]", "shards.index");
        row("C1 cut short", index_of(fine_map).chopped(1), "shards.index");
        row("C1 trailing text", index_of(fine_map) + "x", "shards.index");
        row("C1 not UTF-8", index_of(mapped("\xFF", "one.safetensors")), "shards.index");
        row("C2 100,000 levels", "{\"x\":" + QByteArray(100000, '[') + "}", "shards.index");
        row("C3 no map", "{\"metadata\":{}}", "shards.index");
        row("C3 the map is an array", "{\"weight_map\":[]}", "shards.index");
        row("S13 a pickle as shard", with_shard("pytorch_model-00001-of-00002.bin"), "file.pickle");
    }
    void a_bad_index_is_refused() {
        QFETCH(QByteArray, index);
        QFETCH(QByteArray, code);
        QFETCH(QByteArray, says);
        Folder folder, outside;
        fill(folder, index);
        folder.put("again.safetensors", shard({"d", "a"}));
        fs::create_symlink(outside.put("out.safetensors", shard({"d"})), folder / "out.safetensors");
        fs::create_symlink("/dev/zero", folder / "zero.safetensors");
        fs::create_directory(folder / "folder.safetensors");
        QCOMPARE(::mkfifo((folder / "pipe.safetensors").c_str(), 0600), 0);
        Outcome outcome = outcome_of([&] { ShardedTensors tensors(folder.path()); });
        QVERIFY2(outcome.code == code.toStdString(), (outcome.code + " " + outcome.message).c_str());
        QVERIFY2(outcome.message.find(says.toStdString()) != std::string::npos, outcome.message.c_str());
    }

    void shards_are_one_set_of_tensors() {
        Folder folder;
        fill(folder, index_of(fine_map));
        for (const fs::path& path : {folder.path(), folder / "model.safetensors.index.json"}) {
            ShardedTensors tensors(path);
            QCOMPARE(tensors.tensors().size(), 3u);
            QCOMPARE(tensors.shards().size(), 2u);
            QVERIFY(tensors.notices().empty());
            std::int64_t two[] = {2}, three[] = {3};
            QCOMPARE(tensors.at("c", two, DType::u8).data.size(), 2u);
            QCOMPARE(outcome_of([&] { tensors.at("c", three); }).code, std::string("tensor.shape"));
            QCOMPARE(outcome_of([&] { tensors.at("c", two, DType::f16); }).code, std::string("tensor.dtype"));
            QCOMPARE(outcome_of([&] { tensors.at("d"); }).code, std::string("tensor.missing"));
            tensors.check();
        }
    }

    void c10_harmless_oddities_are_noticed() {
        Folder folder;
        fill(folder, index_of(fine_map, "7"));
        folder.put("two.safetensors", shard({"c", "extra"}));
        ShardedTensors tensors(folder.path());
        QCOMPARE(tensors.notices().size(), 2u);
        QVERIFY(tensors.notices()[0].find("extra") != std::string::npos);
        QVERIFY(tensors.notices()[1].find("7 bytes") != std::string::npos);
        QVERIFY(!tensors.find("extra"));
    }

    void one_file_needs_no_index() {
        Folder folder;
        folder.put("model.safetensors", shard({"a"}));
        folder.put("adapter_model.safetensors", shard({"lora"}));
        QVERIFY(ShardedTensors(folder.path()).find("a"));
        QVERIFY(ShardedTensors(folder.path(), "adapter_model").find("lora"));
        QVERIFY(ShardedTensors(folder / "model.safetensors").find("a"));
    }

    void links_inside_the_folder_and_in_the_download_cache_are_followed() {
        Folder folder, outside;
        folder.put("real.safetensors", shard({"a"}));
        fs::create_symlink("real.safetensors", folder / "model.safetensors");
        QVERIFY(ShardedTensors(folder.path()).find("a"));

        fs::path model = outside / "models--who--what";
        fs::create_directories(model / "blobs");
        fs::create_directories(model / "snapshots" / "0123abcd");
        outside.put("models--who--what/blobs/5f0c", shard({"a"}));
        fs::create_symlink("../../blobs/5f0c", model / "snapshots" / "0123abcd" / "model.safetensors");
        QVERIFY(ShardedTensors(model / "snapshots" / "0123abcd").find("a"));
        // The control: the same link elsewhere.
        fs::create_directories(model / "other" / "0123abcd");
        fs::create_symlink("../../blobs/5f0c", model / "other" / "0123abcd" / "model.safetensors");
        QCOMPARE(outcome_of([&] { ShardedTensors tensors(model / "other" / "0123abcd"); }).code,
                 std::string("shards.name"));
    }

    void s13_a_folder_of_pickles_says_what_to_do() {
        Folder folder;
        folder.put("config.json", "{}");
        QCOMPARE(outcome_of([&] { ShardedTensors tensors(folder.path()); }).code, std::string("shards.none"));
        folder.put("training_args.bin", "PK");
        QCOMPARE(outcome_of([&] { ShardedTensors tensors(folder.path()); }).code, std::string("shards.none"));
        folder.put("pytorch_model.bin", "PK");
        QCOMPARE(outcome_of([&] { ShardedTensors tensors(folder.path()); }).code, std::string("file.pickle"));
        folder.put("model.safetensors", shard({"a"}));
        QVERIFY(ShardedTensors(folder.path()).find("a"));
    }
};

QTEST_GUILESS_MAIN(ShardedTensorsTest)
#include "sharded_tensors_test.moc"
