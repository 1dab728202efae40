#include "kernels/error_feedback.h"

#include "golden.h"
#include "kernels/quantize.h"

using namespace qlora::kernels;

class ErrorFeedbackTest : public QObject {
    Q_OBJECT

  private slots:
    void a_column_hands_its_error_to_those_behind_it() {
        // One scale of 7 a column of int4: codes are whole numbers. The inverse Hessian's factor has 1 on the diagonal.
        std::vector<float> row{2.4f, 3.3f, 1.2f};
        const std::vector<float> factor{1, 0.5f, 0.25f, 0, 1, 0.5f, 0, 0, 2}, scales{7};
        std::vector<std::uint8_t> codes(3);
        std::vector<float> errors(3);
        code_with_feedback(Code::int4, row.data(), factor.data(), 3, 0, 3, scales.data(), 3, codes.data(), errors.data());
        // 2.4 -> 2, error 0.4: 3.3 - 0.2 = 3.1 -> 3, error 0.1: 1.2 - 0.1 - 0.05 = 1.05 -> 1, error 0.05 / 2.
        QCOMPARE(codes, (std::vector<std::uint8_t>{8 + 2, 8 + 3, 8 + 1}));
        const std::vector<float> wanted{0.4f, 0.1f, 0.025f};
        for (std::size_t i = 0; i < 3; ++i) QVERIFY(std::abs(errors[i] - wanted[i]) < 1e-6f);
    }

    void a_range_of_columns_touches_no_other() {
        std::vector<float> row = normal(3, 40);
        const std::vector<float> before = row;
        std::vector<float> factor(40 * 40, 0.1f), scales{2, 1}, errors(8);
        for (std::size_t i = 0; i < 40; ++i) factor[i * 41] = 1;
        std::vector<std::uint8_t> codes(40, 99);
        code_with_feedback(Code::nf4, row.data(), factor.data(), 40, 20, 28, scales.data(), 20, codes.data(), errors.data());
        for (std::size_t i = 0; i < 40; ++i) {
            QCOMPARE(codes[i] == 99, i < 20 || i >= 28);
            if (i <= 20 || i >= 28) QCOMPARE(row[i], before[i]);
        }
        QVERIFY(row[27] != before[27]);
    }

    void without_dependence_codes_and_bytes_are_those_of_quantize() {
        for (const Code code : {Code::nf4, Code::fp4, Code::int4, Code::int3})
            for (const std::int64_t n : {1, 63, 64, 77, 128}) {
                const auto x = normal(n, n);
                std::vector<std::uint8_t> wanted(packed_bytes(code, n)), codes(n), packed(wanted.size());
                std::vector<float> scales(1), factor(n * n), errors(n), row = x;
                quantize(code, x.data(), n, n, wanted.data(), scales.data());
                for (std::int64_t i = 0; i < n; ++i) factor[i * (n + 1)] = 1;
                code_with_feedback(code, row.data(), factor.data(), n, 0, n, scales.data(), n, codes.data(), errors.data());
                pack_codes(code, codes.data(), n, packed.data());
                QVERIFY(packed == wanted);
            }
    }
};

QTEST_GUILESS_MAIN(ErrorFeedbackTest)
#include "error_feedback_test.moc"
