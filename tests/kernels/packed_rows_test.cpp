#include "kernels/packed_rows.h"

#include "golden.h"
#include "kernels/reference.h"

using namespace qlora::kernels;

namespace {

// A matrix with its memory.
struct Matrix {
    std::vector<std::uint8_t> packed, absmax_codes;
    std::vector<float> absmax, nested_absmax;
    PackedRows rows;
};

Matrix make_matrix(Code code, std::int64_t rows, std::int64_t cols, std::int64_t block, bool nested) {
    const std::int64_t n = rows * cols, blocks = block_count(n, block);
    Matrix m{std::vector<std::uint8_t>(packed_bytes(code, n)),
             std::vector<std::uint8_t>(blocks),
             std::vector<float>(blocks),
             std::vector<float>(block_count(blocks, nested_block)),
             {}};
    const auto x = normal(n + block, n, 0.1f);
    quantize(code, x.data(), n, block, m.packed.data(), m.absmax.data());
    m.rows = {.code = code, .rows = rows, .cols = cols, .block = block, .packed = m.packed.data()};
    if (nested) {
        quantize_absmax(m.absmax.data(), blocks, m.absmax_codes.data(), m.nested_absmax.data(),
                        &m.rows.offset);
        m.rows.absmax_codes = m.absmax_codes.data();
        m.rows.nested_absmax = m.nested_absmax.data();
    } else {
        m.rows.absmax = m.absmax.data();
    }
    return m;
}

struct Shape {
    std::int64_t rows, cols, block;
};
constexpr Shape shapes[] = {{1, 1, 64},  {3, 31, 32},   {5, 32, 32},    {7, 33, 64},  {4, 64, 64},
                            {6, 96, 64}, {3, 4097, 64}, {2, 576, 4096}, {9, 576, 64}, {5, 100, 128}, {5, 33, 33}, {4, 100, 100}, {3, 4097, 4097}};
constexpr Code codes[] = {Code::nf4, Code::fp4, Code::int4, Code::int3, Code::int8};

}  // namespace

class PackedRowsTest : public QObject {
    Q_OBJECT

  private slots:
    void any_range_of_elements_dequantizes_like_the_reference_data() { add_targets(); }
    void any_range_of_elements_dequantizes_like_the_reference() {
        QFETCH(qint64, target);
        use_target(target);
        for (const Code code : codes) {
            const auto m = make_matrix(code, 1, 1001, 64, false);
            for (const std::int64_t begin : {0, 1, 2, 31, 63, 64, 65, 500, 999})
                for (std::int64_t count : {0, 1, 2, 31, 32, 33, 64, 97, 500, 1001}) {
                    count = std::min(count, 1001 - begin);
                    std::vector<float> ours(count + 1, 7.0f), theirs(count + 1, 7.0f);
                    dequantize(code, m.packed.data(), m.absmax.data(), 64, begin, count, ours.data());
                    reference::dequantize(code, m.packed.data(), m.absmax.data(), 64, begin, count,
                                          theirs.data());
                    QVERIFY(first_difference(ours, theirs) < 0);
                }
        }
    }

    void rows_of_any_shape_dequantize_like_the_reference_data() { add_targets(); }
    void rows_of_any_shape_dequantize_like_the_reference() {
        QFETCH(qint64, target);
        use_target(target);
        for (const Code code : codes)
            for (const auto [rows, cols, block] : shapes)
                for (const bool nested : {false, true}) {
                    const auto m = make_matrix(code, rows, cols, block, nested);
                    for (std::int64_t first = 0; first < rows; ++first) {
                        std::vector<float> ours((rows - first) * cols), theirs(ours.size());
                        dequantize_rows(m.rows, first, rows, ours.data());
                        reference::dequantize_rows(m.rows, first, rows, theirs.data());
                        QVERIFY(first_difference(ours, theirs) < 0);
                    }
                }
    }

    void products_are_those_of_the_dequantized_matrix_data() { add_targets(); }
    void products_are_those_of_the_dequantized_matrix() {
        QFETCH(qint64, target);
        use_target(target);
        for (const Code code : codes)
            for (const auto [rows, cols, block] : shapes)
                for (const bool nested : {false, true}) {
                    const auto m = make_matrix(code, rows, cols, block, nested);
                    std::vector<float> weights(rows * cols);
                    reference::dequantize_rows(m.rows, 0, rows, weights.data());
                    for (const std::int64_t vectors : {1, 2, 3, 4, 7, 8, 13}) {
                        const auto x = normal(77 + vectors, vectors * cols);
                        std::vector<float> y(vectors * rows), exact(rows);
                        multiply_several(m.rows, x.data(), vectors, 0, rows, y.data());
                        for (std::int64_t v = 0; v < vectors; ++v) {
                            reference::multiply(m.rows, x.data() + v * cols, 0, rows, exact.data());
                            for (std::int64_t r = 0; r < rows; ++r) {
                                double magnitude = 0;
                                for (std::int64_t c = 0; c < cols; ++c)
                                    magnitude += std::abs(double{weights[r * cols + c]} * x[v * cols + c]);
                                // A few roundings of 2^-24 on the sum of magnitudes.
                                QVERIFY(std::abs(y[v * rows + r] - exact[r]) <= magnitude * 0x1p-21 + 1e-30);
                            }
                        }
                    }
                }
    }

    void a_product_does_not_depend_on_how_rows_are_split_data() { add_targets(); }
    void a_product_does_not_depend_on_how_rows_are_split() {
        QFETCH(qint64, target);
        use_target(target);
        const auto m = make_matrix(Code::nf4, 20, 200, 64, true);
        const auto x = normal(5, 200);
        std::vector<float> whole(20), parts(22, -1.0f);
        multiply(m.rows, x.data(), 0, 20, whole.data());
        multiply(m.rows, x.data(), 0, 7, parts.data());
        QCOMPARE(parts[7], -1.0f);
        multiply(m.rows, x.data(), 7, 20, parts.data());
        QVERIFY(std::equal(whole.begin(), whole.end(), parts.begin()));
        QCOMPARE(parts[20], -1.0f);
        auto other = x;
        other[100] += 1;
        multiply(m.rows, other.data(), 0, 20, parts.data());
        QVERIFY(!std::equal(whole.begin(), whole.end(), parts.begin()));
    }
};

QTEST_GUILESS_MAIN(PackedRowsTest)
#include "packed_rows_test.moc"
