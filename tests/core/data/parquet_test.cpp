// Arrow before Qt, whose `signals` is a macro.
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/writer.h>

#include <QtTest>
#include <atomic>
#include <thread>

#include "core/base/file.h"
#include "core/data/roles.h"
#include "tests/core/data/fixtures.h"

using namespace qlora;
using namespace qlora::data;
using namespace fixtures;
using namespace std::string_literals;

namespace {

template <typename Builder, typename... Values>
std::shared_ptr<arrow::Array> array_of(Values... values) {
    Builder builder;
    for (const auto& value : {values...})
        if (!builder.Append(value).ok()) qFatal("cannot build an array");
    if (!builder.AppendNull().ok()) qFatal("cannot append");
    return builder.Finish().ValueOrDie();
}

std::shared_ptr<arrow::Array> conversations() {
    auto text = std::make_shared<arrow::StringBuilder>(), role = std::make_shared<arrow::StringBuilder>();
    auto type = arrow::struct_({arrow::field("role", arrow::utf8()), arrow::field("content", arrow::utf8())});
    auto message = std::make_shared<arrow::StructBuilder>(
        type, arrow::default_memory_pool(), std::vector<std::shared_ptr<arrow::ArrayBuilder>>{role, text});
    arrow::ListBuilder list(arrow::default_memory_pool(), message);
    auto add = [&](const char* who, const char* what) {
        if (!message->Append().ok() || !role->Append(who).ok() || !text->Append(what).ok())
            qFatal("cannot build messages");
    };
    if (!list.Append().ok()) qFatal("cannot append");
    add("user", "hello");
    add("assistant", "hi");
    if (!list.Append().ok()) qFatal("cannot append");
    add("user", "bye");
    if (!list.AppendNull().ok()) qFatal("cannot append");
    return list.Finish().ValueOrDie();
}

}  // namespace

class ParquetTest : public QObject {
    Q_OBJECT
    Folder folder_;

    std::filesystem::path write(const std::string& name, const std::shared_ptr<arrow::Table>& table,
                                std::int64_t group_rows = 1024) {
        auto path = folder_.path(name);
        auto file = arrow::io::FileOutputStream::Open(path.string()).ValueOrDie();
        auto status = parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), file, group_rows);
        if (!status.ok() || !file->Close().ok()) qFatal("cannot write Parquet");
        return path;
    }

    std::shared_ptr<arrow::Table> many(int rows) {
        arrow::StringBuilder text;
        arrow::Int64Builder number;
        for (int i = 0; i < rows; ++i)
            if (!text.Append("row " + std::to_string(i)).ok() || !number.Append(i).ok())
                qFatal("cannot append");
        return arrow::Table::Make(
            arrow::schema({arrow::field("text", arrow::utf8()), arrow::field("n", arrow::int64())}),
            {text.Finish().ValueOrDie(), number.Finish().ValueOrDie()});
    }

  private slots:
    void reads_every_kind_of_column() {
        auto table = arrow::Table::Make(
            arrow::schema({arrow::field("s", arrow::utf8()), arrow::field("i", arrow::int32()),
                           arrow::field("f", arrow::float64()), arrow::field("b", arrow::boolean()),
                           arrow::field("chat", conversations()->type()),
                           arrow::field("picture", arrow::binary()), arrow::field("day", arrow::date32())}),
            {array_of<arrow::StringBuilder>("é", ""), array_of<arrow::Int32Builder>(-1, 2),
             array_of<arrow::DoubleBuilder>(0.5, 1e300), array_of<arrow::BooleanBuilder>(true, false),
             conversations(), array_of<arrow::BinaryBuilder>("\xFF", "x"),
             array_of<arrow::Date32Builder>(0, 19000)});
        Table read = Table::open(write("kinds.parquet", table));
        QCOMPARE(columns(read),
                 "s:string i:number f:number b:boolean chat:list picture:unsupported day:string"s);
        QCOMPARE(
            read.row(0).dump(),
            R"({"b":true,"chat":[{"content":"hello","role":"user"},{"content":"hi","role":"assistant"}],"day":"1970-01-01","f":0.5,"i":-1,"s":"é"})"s);
        QCOMPARE(read.row(2).dump(), R"({"b":null,"chat":null,"day":null,"f":null,"i":null,"s":null})"s);
        QCOMPARE(code_of([&] { read.cell(0, 5); }), "data.kind"s);
        QCOMPARE(read.notices().size(), 1u);
        QCOMPARE(guess_roles(read).roles.messages, "chat"s);
        auto problems = check_roles(read, {.layout = ColumnRoles::Layout::text, .text = "picture"});
        QVERIFY(problems.at(0).message.find("unsupported") != std::string::npos);
    }

    void reads_across_row_groups_from_many_threads() {
        Table read = Table::open(write("groups.parquet", many(3000), 700));
        QCOMPARE(read.rows(), 3000u);
        QCOMPARE(read.where(1399), folder_.path("groups.parquet").string() + ", row 1400");
        std::atomic<int> wrong{0};
        {
            std::vector<std::jthread> threads;
            for (std::size_t t = 0; t < 4; ++t)
                threads.emplace_back([&, t] {
                    for (std::size_t row = t; row < read.rows(); row += 4)
                        wrong += *read.text(row, 0) != "row " + std::to_string(row);
                });
        }
        QCOMPARE(wrong.load(), 0);
        QCOMPARE(read.cell(2999, 1), Json(2999));
    }

    void the_content_decides_over_the_name() {
        auto path = write("named.parquet", many(3));
        std::filesystem::rename(path, folder_.path("named.dat"));
        QCOMPARE(Table::open(folder_.path("named.dat")).rows(), 3u);
    }

    void no_rows_is_an_error() {
        QCOMPARE(code_of([&] { Table::open(write("none.parquet", many(0))); }), "data.empty"s);
    }

    void not_parquet_is_an_error() {
        QCOMPARE(code_of([&] { Table::open(folder_.write("x.parquet", "text, not Parquet")); }),
                 "data.parquet"s);
        QCOMPARE(code_of([&] { Table::open(folder_.write("x.parquet", "PAR1")); }), "data.parquet"s);
        QCOMPARE(code_of([&] { Table::open(folder_.write("x.parquet", "PAR1\xFF\xFF\xFF\xFFPAR1")); }),
                 "data.parquet"s);
    }

    void every_cut_is_an_error() {
        std::string whole = read_file(write("cut.parquet", many(50), 20));
        for (std::size_t size = 1; size < whole.size(); size += 29) {
            auto error = error_of([&] { Table::open(folder_.write("cut.parquet", whole.substr(0, size))); });
            QVERIFY2(error && error->code() == "data.parquet", std::to_string(size).c_str());
            QVERIFY(error->message().find("cut.parquet") != std::string::npos);
        }
    }

    void a_flipped_byte_is_an_error_or_a_table() {
        const std::string whole = read_file(write("flip.parquet", many(50), 20));
        for (std::size_t at = 0; at < whole.size(); at += 5) {
            std::string flipped = whole;
            flipped[at] = static_cast<char>(flipped[at] ^ 0x5A);
            auto error = error_of([&] {
                Table read = Table::open(folder_.write("flip.parquet", flipped));
                for (std::size_t row = 0; row < std::min<std::size_t>(read.rows(), 60); ++row) read.row(row);
            });
            if (error) QVERIFY2(error->kind() == Error::Kind::input, error->what());
        }
    }
};

QTEST_APPLESS_MAIN(ParquetTest)
#include "parquet_test.moc"
