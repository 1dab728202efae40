#include "tests/torch_tests.h"

#include "core/memory/meters.h"
#include "core/quant/weight.h"

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
