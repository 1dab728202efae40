#include "tests/torch_tests.h"

#include <cmath>
#include <cstring>
#include <map>

#include "core/memory/meters.h"
#include "core/quant/matmul.h"
#include "kernels/quantize.h"

using namespace qlora;
using namespace qlora::quant;
using recipe::Precision;
using torch::Tensor;

namespace {
double relative(const Tensor& a, const Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); }
}  // namespace

class WeightTest : public QObject {
    Q_OBJECT

  private slots:
    void init() { torch::manual_seed(1); }

    void every_precision_keeps_its_promise_of_error_and_size_data() {
        QTest::addColumn<int>("precision");
        QTest::addColumn<double>("error");  // relative, on N(0, 1)
        QTest::addColumn<double>("bits");
        auto row = [](Precision p, double error, double bits) { QTest::newRow(std::string(recipe::name(p)).c_str()) << int(p) << error << bits; };
        row(Precision::fp32, 0, 32);
        row(Precision::bf16, 0.002, 16);
        row(Precision::fp16, 0.0003, 16);
        row(Precision::int8, 0.012, 8.2);
        row(Precision::nf4, 0.095, 4.14);
        row(Precision::fp4, 0.14, 4.14);
        row(Precision::int4, 0.115, 4.14);
        row(Precision::int3, 0.27, 4.14);
    }
    void every_precision_keeps_its_promise_of_error_and_size() {
        QFETCH(int, precision);
        QFETCH(double, error);
        QFETCH(double, bits);
        const Tensor values = torch::randn({512, 320});
        const Weight weight = Weight::quantized(values, static_cast<Precision>(precision));
        const double got = relative(weight.dequantized(), values);
        QVERIFY2(got <= error, qPrintable(QString::number(got)));
        QVERIFY2(error == 0 || got > error / 3, qPrintable(QString::number(got)));
        QVERIFY(8.0 * static_cast<double>(weight.bytes()) / (512 * 320) <= bits + 0.03);
    }

    void products_equal_those_of_the_dequantized_matrix_data() { every_precision_keeps_its_promise_of_error_and_size_data(); }
    void products_equal_those_of_the_dequantized_matrix() {
        QFETCH(int, precision);
        // 2048 rows make several tiles; 3 columns more than a block make blocks that reach over a row's end.
        const Weight weight = Weight::quantized(torch::randn({2048, 676}), static_cast<Precision>(precision));
        const Tensor dense = weight.dequantized(), x = torch::randn({5, 676}), dy = torch::randn({5, 2048});
        QVERIFY(relative(matmul_transposed(x, weight), x.mm(dense.t())) < 1e-5);
        QVERIFY(relative(matmul(dy, weight), dy.mm(dense)) < 1e-5);
        const Tensor row = x.narrow(0, 2, 1);
        QVERIFY(relative(matmul_transposed(row, weight), row.mm(dense.t())) < 1e-5);
        const Tensor ids = torch::tensor({7, 2047, 0, 7}, torch::kInt64);
        QVERIFY(torch::equal(weight.gather(ids), dense.index_select(0, ids)));
    }

    void quantized_by_tiles_of_rows_it_is_what_the_kernels_make_of_the_whole_data() {
        QTest::addColumn<int>("precision");
        QTest::addColumn<int>("columns");
        QTest::addColumn<int>("block");
        for (auto precision : {Precision::nf4, Precision::fp4, Precision::int4, Precision::int3, Precision::int8})
            for (auto [columns, block] : {std::pair{676, 64}, {1024, 64}, {677, 1024}, {33, 32}, {676, 0}, {677, 0}, {33, 0}})
                QTest::addRow("%s, %d columns, blocks of %d", std::string(recipe::name(precision)).c_str(), columns, block)
                    << int(precision) << columns << block;
    }
    void quantized_by_tiles_of_rows_it_is_what_the_kernels_make_of_the_whole() {
        QFETCH(int, precision);
        QFETCH(int, columns);
        QFETCH(int, block);
        const auto kind = static_cast<Precision>(precision);
        const auto code = kind == Precision::nf4 ? kernels::Code::nf4 : kind == Precision::fp4 ? kernels::Code::fp4
                          : kind == Precision::int4 ? kernels::Code::int4 : kind == Precision::int3 ? kernels::Code::int3 : kernels::Code::int8;
        const std::int64_t rows = (std::int64_t{5} << 19) / columns + 3;
        const std::int64_t unit = code == kernels::Code::int8 || block == 0 ? columns : block;
        const Tensor values = torch::randn({rows, columns});
        Tensor packed = torch::empty({kernels::packed_bytes(code, values.numel())}, torch::kUInt8);
        Tensor absmax = torch::empty({kernels::block_count(values.numel(), unit)});
        kernels::quantize(code, values.data_ptr<float>(), values.numel(), unit, packed.data_ptr<std::uint8_t>(), absmax.data_ptr<float>());

        std::int64_t next = 0, tiles = 0;
        auto read = [&](std::int64_t begin, std::int64_t end, float* out) {
            QCOMPARE(begin, next);
            next = end;
            ++tiles;
            std::memcpy(out, values.data_ptr<float>() + begin * columns, static_cast<std::size_t>((end - begin) * columns) * sizeof(float));
        };
        const auto parts = Weight::quantized(rows, columns, read, kind, {.block = block, .double_quantization = false}).storage();
        QCOMPARE(next, rows);
        QVERIFY(tiles > 1);
        QVERIFY(torch::equal(parts[0].second, packed));
        QVERIFY(torch::equal(parts[1].second, absmax));
        const auto whole = Weight::quantized(values, kind, {.block = block, .double_quantization = false}).storage();
        QVERIFY(torch::equal(whole[0].second, packed));
    }

    void of_a_row_of_any_length_one_scale_is_kept() {
        for (const auto precision : {Precision::nf4, Precision::fp4, Precision::int4, Precision::int3}) {
            const Tensor values = torch::randn({2050, 677});  // several tiles, and rows that end inside a byte
            const Weight weight = Weight::quantized(values, precision, {.block = 0, .double_quantization = false});
            QCOMPARE(weight.block(), std::int64_t{677});
            QCOMPARE(weight.storage()[1].second.numel(), std::int64_t{2050});
            QVERIFY(torch::equal(weight.storage()[1].second, std::get<0>(values.abs().max(1))));
            const Tensor dense = weight.dequantized(), x = torch::randn({5, 677}), dy = torch::randn({5, 2050});
            QVERIFY(relative(matmul_transposed(x, weight), x.mm(dense.t())) < 1e-5);
            QVERIFY(relative(matmul(dy, weight), dy.mm(dense)) < 1e-5);
            QVERIFY(torch::equal(weight.gather(torch::tensor({2049, 1}, torch::kInt64)), dense.index_select(0, torch::tensor({2049, 1}, torch::kInt64))));
            // Quantizing a row alone gives the row.
            const Weight one = Weight::quantized(values.narrow(0, 1013, 1).contiguous(), precision, {.block = 0, .double_quantization = false});
            QVERIFY(torch::equal(one.dequantized(), dense.narrow(0, 1013, 1)));
            // Doubly quantized, the scales are rounded, the codes the same.
            const Weight nested = Weight::quantized(values, precision, {.block = 0});
            QVERIFY(torch::equal(nested.storage()[0].second, weight.storage()[0].second));
            QVERIFY(relative(nested.dequantized(), dense) < 0.02);
        }
    }

    void searched_scales_err_less_and_the_same_for_any_number_of_threads() {
        for (const auto precision : {Precision::nf4, Precision::fp4, Precision::int4, Precision::int3})
            for (const std::int64_t block : {64, 0}) {
                const Tensor values = torch::randn({600, 677});
                const Weight plain = Weight::quantized(values, precision, {.block = block, .double_quantization = false});
                const BlockOptions options{.block = block, .double_quantization = false, .scales = ScaleChoice::search};
                const Weight searched = Weight::quantized(values, precision, options);
                const double cut = 1 - std::pow(relative(searched.dequantized(), values) / relative(plain.dequantized(), values), 2);
                QVERIFY2(cut > (block == 0 ? 0.11 : 0.14), qPrintable(QString::number(cut)));
                const int threads = at::get_num_threads();
                at::set_num_threads(1);
                QVERIFY(torch::equal(Weight::quantized(values, precision, options).dequantized(), searched.dequantized()));
                at::set_num_threads(threads);
            }
        const Tensor values = torch::randn({64, 96});
        QVERIFY(torch::equal(Weight::quantized(values, Precision::int8, {.scales = ScaleChoice::search}).dequantized(),
                             Weight::quantized(values, Precision::int8).dequantized()));
    }

    void parts_quantized_elsewhere_are_taken_as_they_are() {
        for (bool nested : {false, true}) {
            const Weight made = Weight::quantized(torch::randn({30, 96}), Precision::nf4, {.block = 32, .double_quantization = nested});
            std::map<std::string, Tensor> parts;
            for (const auto& [name, tensor] : made.storage()) parts[name] = tensor;
            const Tensor packed = parts["weight"];
            Prequantized given{Precision::nf4, 30, 96, 32, {static_cast<const std::byte*>(packed.data_ptr()), packed.nbytes()}};
            if (nested) {
                given.absmax_codes = parts["absmax"];
                given.nested_absmax = parts["nested_absmax"];
                given.offset = parts["offset"].item<float>();
            } else {
                given.absmax = parts["absmax"];
            }
            const Weight taken = Weight::prequantized(given, "file", "tensor");
            QVERIFY(torch::equal(taken.dequantized(), made.dequantized()));
            QCOMPARE(taken.form(), std::string("nf4"));

            auto refused = [&](auto edit) {
                Prequantized changed = given;
                edit(changed);
                return code_of([&] { Weight::prequantized(changed, "file", "tensor"); });
            };
            QCOMPARE(refused([](Prequantized&) {}), std::string());
            for (std::int64_t block : {0, -32, 16, 48, 8192})
                QCOMPARE(refused([&](Prequantized& p) { p.block = block; }), std::string("weight.block"));
            QCOMPARE(refused([](Prequantized& p) { p.block = 64; }), std::string("weight.size"));
            QCOMPARE(refused([](Prequantized& p) { p.packed = p.packed.subspan(1); }), std::string("weight.size"));
            QCOMPARE(refused([](Prequantized& p) { p.rows = 31; }), std::string("weight.size"));
            for (float broken : {NAN, INFINITY}) {
                QCOMPARE(refused([&](Prequantized& p) {
                             Tensor& scales = nested ? p.nested_absmax : p.absmax;
                             scales = scales.clone();
                             scales[0] = broken;
                         }),
                         std::string("weight.absmax"));
                if (nested) QCOMPARE(refused([&](Prequantized& p) { p.offset = broken; }), std::string("weight.absmax"));
            }
        }
    }

    void tensors_are_counted_by_tag() {
        memory::read();
        const auto before = memory::read().live;
        Tensor kept;
        {
            memory::TagScope outer(MemoryTag::optimizer);
            memory::TagScope inner(MemoryTag::adapters);
            kept = torch::zeros({1000, 250});
        }
        const auto during = memory::read().live;
        QCOMPARE(during[MemoryTag::adapters] - before[MemoryTag::adapters], 1'000'000);
        QCOMPARE(during[MemoryTag::optimizer], before[MemoryTag::optimizer]);
        memory::reset_peak();
        kept = Tensor();
        const auto after = memory::read();
        QCOMPARE(after.live[MemoryTag::adapters], before[MemoryTag::adapters]);
        QVERIFY(after.peak_bytes >= after.live.total() + 1'000'000);
        QCOMPARE(after.at_peak[MemoryTag::adapters] - before[MemoryTag::adapters], 1'000'000);
        QVERIFY(after.process_bytes > 0 && after.machine_bytes > after.machine_available_bytes);
    }
};

QTEST_GUILESS_MAIN(WeightTest)
#include "weight_test.moc"
