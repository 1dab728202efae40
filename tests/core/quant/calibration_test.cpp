// GPTQ and AWQ on matrices whose inputs are known.
#include "tests/torch_tests.h"

#include "core/quant/awq.h"
#include "core/quant/gptq.h"

using namespace qlora;
using namespace qlora::quant;
using recipe::Precision;
using torch::Tensor;

namespace {

constexpr Precision four_bits[] = {Precision::nf4, Precision::fp4, Precision::int4, Precision::int3};

// Inputs whose features depend on each other, some of them much larger than the rest, as a language model's are.
Tensor inputs(std::int64_t tokens, std::int64_t cols) {
    Tensor x = torch::randn({tokens, cols / 4}).mm(torch::randn({cols / 4, cols})) / std::sqrt(static_cast<double>(cols) / 4) + 0.3 * torch::randn({tokens, cols});
    for (std::int64_t c = 0; c < cols; c += 29) x.select(1, c).mul_(20);
    return x;
}

double output_error_of(const Tensor& x, const Tensor& got, const Tensor& wanted) {
    return (x.mm((got - wanted).t()).square().sum() / x.mm(wanted.t()).square().sum()).item<double>();
}

}  // namespace

class CalibrationTest : public QObject {
    Q_OBJECT

  private slots:
    void init() { torch::manual_seed(3); }

    void the_error_of_outputs_follows_from_the_hessian() {
        const Tensor x = inputs(300, 96), wanted = torch::randn({40, 96}), got = wanted + 0.1 * torch::randn({40, 96});
        const auto seen = statistics_of(x);
        QCOMPARE(seen.tokens, std::int64_t{300});
        QVERIFY(torch::allclose(seen.magnitudes, x.abs().mean(0)));
        const double exact = output_error_of(x, got, wanted);
        QVERIFY(std::abs(output_error(got, wanted, seen.hessian) / exact - 1) < 1e-4);
        QVERIFY(std::abs(relative_squared_error(got, wanted) - 0.01) < 0.002);
        QVERIFY(std::abs(signal_to_noise(0.01) - 20) < 1e-9);
        QCOMPARE(output_error(wanted, wanted, seen.hessian), 0.0);
    }

    void blocks_lie_within_rows() {
        QCOMPARE(block_within_rows(576, 64), std::int64_t{64});
        QCOMPARE(block_within_rows(576, 128), std::int64_t{64});
        QCOMPARE(block_within_rows(96, 64), std::int64_t{32});
        QCOMPARE(block_within_rows(100, 64), std::int64_t{100});
    }

    void gptq_errs_less_in_its_outputs_than_rounding_does() {
        for (const auto precision : four_bits)
            for (const std::int64_t block : {32, 64, 256, 0})
                for (const bool nested : {false, true}) {
                    const Tensor x = inputs(1024, 256), values = torch::randn({80, 256});
                    const BlockOptions options{.block = block, .double_quantization = nested};
                    const Weight plain = Weight::quantized(values, precision, options), fed = ErrorFeedback(statistics_of(x).hessian).quantize(values, precision, options);
                    QCOMPARE(fed.block(), plain.block());
                    QCOMPARE(fed.form(), plain.form());
                    QCOMPARE(fed.bytes(), plain.bytes());
                    const double before = output_error_of(x, plain.dequantized(), values), after = output_error_of(x, fed.dequantized(), values);
                    QVERIFY2(after < 0.7 * before, qPrintable(QString("%1 to %2").arg(before).arg(after)));
                    // And on inputs of the same kind that it has not seen, though the weights themselves are further off.
                    QVERIFY(relative_squared_error(fed.dequantized(), values) > relative_squared_error(plain.dequantized(), values));
                }
    }

    void without_dependence_gptq_is_plain_rounding() {
        for (const auto precision : four_bits)
            for (const std::int64_t block : {64, 0}) {
                const Tensor values = torch::randn({33, 192});
                const BlockOptions options{.block = block, .double_quantization = false};
                const Weight fed = ErrorFeedback(torch::eye(192)).quantize(values, precision, options);
                QVERIFY(torch::equal(fed.dequantized(), Weight::quantized(values, precision, options).dequantized()));
            }
    }

    void rows_that_end_inside_a_byte_and_inputs_that_are_always_zero() {
        Tensor x = inputs(200, 77);
        x.select(1, 5).zero_();
        const Tensor values = torch::randn({9, 77});
        const Weight fed = ErrorFeedback(statistics_of(x).hessian).quantize(values, Precision::int4, {.block = 64, .double_quantization = false});
        QCOMPARE(fed.block(), std::int64_t{77});
        QVERIFY(at::isfinite(fed.dequantized()).all().item<bool>());
        QVERIFY(relative_squared_error(fed.dequantized(), values) < 0.1);
        Tensor broken = torch::eye(77);
        broken[3][4] = NAN;
        QCOMPARE(code_of([&] { ErrorFeedback{broken}; }), std::string("quant.hessian"));
        ErrorFeedback(torch::ones({77, 77}));  // of rank 1, and so damped
    }

    void scaled_channels_err_less_where_activations_differ() {
        for (const auto precision : four_bits) {
            const Tensor x = inputs(600, 192), first = torch::randn({64, 192}), second = torch::randn({32, 192});
            const auto seen = statistics_of(x);
            const BlockOptions options{.block = 64, .double_quantization = false};
            const std::array both{first, second};
            const auto chosen = choose_channel_scales(both, seen.magnitudes, seen.hessian, precision, options);
            QVERIFY(chosen.exponent > 0);
            QVERIFY2(chosen.error < 0.9 * chosen.plain_error, qPrintable(QString("%1 to %2").arg(chosen.plain_error).arg(chosen.error)));
            const Tensor used = Weight::quantized(first * chosen.scales, precision, options).dequantized() / chosen.scales;
            QVERIFY(output_error_of(x, used, first) < output_error_of(x, Weight::quantized(first, precision, options).dequantized(), first));
        }
        // Where all activations are alike, all exponents give the same scales: none is better than none.
        const auto alike = choose_channel_scales(std::array{torch::randn({8, 64})}, torch::ones({64}), torch::eye(64), Precision::int4, {});
        QCOMPARE(alike.exponent, 0.0);
        QVERIFY(torch::equal(alike.scales, torch::ones({64})));
    }
};

QTEST_GUILESS_MAIN(CalibrationTest)
#include "calibration_test.moc"
