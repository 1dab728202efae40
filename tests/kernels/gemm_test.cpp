#include "kernels/gemm.h"

#include <array>
#include <cmath>
#include <memory>

#include "golden.h"
#include "kernels/half.h"

using namespace qlora::kernels;

namespace {

// What a product should be, in fp64, with the sum of the magnitudes that went into each element.
struct Exact {
    std::vector<double> values, magnitudes;
};
Exact exact(const std::vector<float>& a, std::int64_t m, const std::vector<float>& w, std::int64_t rows,
            std::int64_t cols, Side side) {
    const std::int64_t in = side == Side::transposed ? cols : rows,
                       out = side == Side::transposed ? rows : cols;
    Exact c{std::vector<double>(m * out), std::vector<double>(m * out)};
    for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t k = 0; k < in; ++k)
            for (std::int64_t j = 0; j < out; ++j) {
                const double product =
                    double{a[i * in + k]} * w[side == Side::transposed ? j * cols + k : k * cols + j];
                c.values[i * out + j] += product;
                c.magnitudes[i * out + j] += std::abs(product);
            }
    return c;
}

// Rounded to bf16.
std::vector<std::uint16_t> halves(const std::vector<float>& x) {
    std::vector<std::uint16_t> rounded(x.size());
    f32_to_bf16(x.data(), static_cast<std::int64_t>(x.size()), rounded.data());
    return rounded;
}

struct Workspace {
    Workspace() : memory(static_cast<float*>(std::aligned_alloc(64, gemm_workspace * sizeof(float)))) {
        std::fill_n(memory.get(), gemm_workspace, 0.0f);
    }
    float* get() const { return memory.get(); }
    struct Free {
        void operator()(float* p) const { std::free(p); }
    };
    std::unique_ptr<float, Free> memory;
};

constexpr std::int64_t outside = 3;  // columns of C beside the product, which must stay as they are

// C = the product, or 1 + it; C is wider than the product.
std::vector<float> product(const std::vector<float>& a, std::int64_t m, const AnyMatrix& w, Side side,
                           bool add, Arithmetic arithmetic = Arithmetic::fp32) {
    const std::int64_t in = side == Side::transposed ? w.cols : w.rows,
                       out = side == Side::transposed ? w.rows : w.cols;
    std::vector<float> c(m * (out + outside), 1.0f);
    if (arithmetic == Arithmetic::bf16)
        multiply_matrix(halves(a).data(), in, m, w, side, 0, out, c.data(), out + outside, add, Workspace().get());
    else
        multiply_matrix(a.data(), in, m, w, side, 0, out, c.data(), out + outside, add, Workspace().get());
    return c;
}

void compare(const std::vector<float>& c, const Exact& wanted, std::int64_t m, bool add) {
    const std::int64_t out = static_cast<std::int64_t>(wanted.values.size()) / m;
    for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < out; ++j) {
            const double value = wanted.values[i * out + j] + (add ? 1 : 0),
                         bound = wanted.magnitudes[i * out + j] + 1;
            QVERIFY2(std::abs(c[i * (out + outside) + j] - value) <= bound * 0x1p-20,
                     qPrintable(QString("row %1, column %2: expected %3, got %4")
                                    .arg(i)
                                    .arg(j)
                                    .arg(value)
                                    .arg(c[i * (out + outside) + j])));
        }
        for (std::int64_t j = out; j < out + outside; ++j) QCOMPARE(c[i * (out + outside) + j], 1.0f);
    }
}

struct Shape {
    std::int64_t m, rows, cols;
};
// Around the widths of panels, the heights of tiles, and the depth of blocks.
constexpr Shape shapes[] = {{1, 1, 1},     {2, 3, 5},     {5, 31, 33},   {7, 32, 32},
                            {13, 64, 48},  {14, 17, 257}, {15, 33, 256}, {29, 256, 31},
                            {85, 40, 512}, {3, 300, 300}, {100, 2, 600}, {170, 65, 130}};

}  // namespace

class GemmTest : public QObject {
    Q_OBJECT

  private slots:
    void plain_matrices_multiply_data() { add_targets(); }
    void plain_matrices_multiply() {
        QFETCH(qint64, target);
        use_target(target);
        for (const auto [m, rows, cols] : shapes) {
            const auto w = normal(rows + cols, rows * cols);
            for (const Side side : {Side::transposed, Side::plain}) {
                const auto a = normal(m, m * (side == Side::transposed ? cols : rows));
                const Exact wanted = exact(a, m, w, rows, cols, side);
                for (const bool add : {false, true})
                    compare(product(a, m, any_matrix(w.data(), rows, cols, cols), side, add), wanted, m, add);
            }
        }
    }

    // Operands are rounded, sums are not.
    void products_in_bf16_are_those_of_rounded_numbers() {
        if (!has_bf16_products()) QSKIP("this processor multiplies no bf16");
        use_target(0);  // the best there is
        const auto rounded = [](std::vector<float> x) {
            bf16_to_f32(halves(x).data(), static_cast<std::int64_t>(x.size()), x.data());
            return x;
        };
        auto all = std::vector<Shape>(std::begin(shapes), std::end(shapes));
        all.insert(all.end(), {{30, 513, 1030}, {9, 600, 64}, {5, 40, 601}});
        for (const auto [m, rows, cols] : all) {
            const std::int64_t n = rows * cols;
            const auto plain = normal(rows + cols, n);
            const auto plain_halves = halves(plain);
            std::vector<std::uint8_t> packed(packed_bytes(Code::nf4, n));
            std::vector<float> absmax(block_count(n, 64)), levels(n);
            quantize(Code::nf4, plain.data(), n, 64, packed.data(), absmax.data());
            const PackedRows nf4{.code = Code::nf4, .rows = rows, .cols = cols, .block = 64, .packed = packed.data(), .absmax = absmax.data()};
            dequantize_rows(nf4, 0, rows, levels.data());
            for (const Side side : {Side::transposed, Side::plain}) {
                const auto a = normal(m, m * (side == Side::transposed ? cols : rows));
                const Exact wanted = exact(rounded(a), m, rounded(plain), rows, cols, side),
                            wanted_packed = exact(rounded(a), m, rounded(levels), rows, cols, side);
                for (const bool add : {false, true}) {
                    const auto c = product(a, m, any_matrix(plain.data(), rows, cols, cols), side, add, Arithmetic::bf16);
                    compare(c, wanted, m, add);
                    compare(product(a, m, any_matrix(nf4), side, add, Arithmetic::bf16), wanted_packed, m, add);
                    // Sides that are rounded already, A's rows a few numbers apart.
                    const std::int64_t in = side == Side::transposed ? cols : rows, out = side == Side::transposed ? rows : cols;
                    const AnyMatrix halves_of_w = any_matrix(BlockFormat::bf16, plain_halves.data(), rows, cols);
                    QVERIFY(first_difference(product(a, m, halves_of_w, side, add, Arithmetic::bf16), c) < 0);
                    for (const std::int64_t stride : {in, in + 5, (in + 1023) / 1024 * 1024}) {
                        std::vector<std::uint16_t> apart(m * stride, 0x7F80);  // infinity, which a product must not see
                        for (std::int64_t i = 0; i < m; ++i) f32_to_bf16(a.data() + i * in, in, apart.data() + i * stride);
                        std::vector<float> from_halves(c.size(), 1.0f);
                        multiply_matrix(apart.data(), stride, m, halves_of_w, side, 0, out, from_halves.data(), out + outside, add, Workspace().get());
                        QVERIFY(first_difference(from_halves, c) < 0);
                    }
                }
            }
        }
    }

    // In one pass over C what two products add up to.
    void a_product_of_few_elements_is_added_in_the_same_pass() {
        if (!has_bf16_products()) QSKIP("this processor multiplies no bf16");
        use_target(0);
        for (const auto& [m, rows, cols, rank] : {std::array<std::int64_t, 4>{30, 513, 1030, 16}, {100, 70, 1024, 8}, {17, 1600, 33, 256}, {3, 31, 601, 2}}) {
            const auto w = normal(1, rows * cols);
            for (const Side side : {Side::transposed, Side::plain}) {
                const std::int64_t in = side == Side::transposed ? cols : rows, out = side == Side::transposed ? rows : cols;
                const auto a = halves(normal(2, m * in)), low = halves(normal(3, m * rank));
                const auto factor = normal(4, rank * out);
                const AnyMatrix base = any_matrix(w.data(), rows, cols, cols);
                const AnyMatrix few = side == Side::transposed ? any_matrix(factor.data(), out, rank, rank) : any_matrix(factor.data(), rank, out, out);
                const AddedProduct added{low.data(), rank, few};
                for (const bool add : {false, true}) {
                    std::vector<float> together(m * out, 1.0f), apart = together, split = together;
                    multiply_matrix(a.data(), in, m, base, side, 0, out, apart.data(), out, add, Workspace().get());
                    multiply_matrix(low.data(), rank, m, few, side, 0, out, apart.data(), out, true, Workspace().get());
                    multiply_matrix(a.data(), in, m, base, side, 0, out, together.data(), out, add, Workspace().get(), {.added = &added});
                    for (std::int64_t i = 0; i < m * out; ++i) QVERIFY(std::abs(together[i] - apart[i]) <= 1e-4f * (1 + std::abs(apart[i])));
                    for (std::int64_t begin = 0; begin < out; begin += 3 * gemm_columns)
                        multiply_matrix(a.data(), in, m, base, side, begin, std::min(out, begin + 3 * gemm_columns), split.data(), out, add,
                                        Workspace().get(), {.added = &added});
                    QVERIFY(first_difference(split, together) < 0);
                }
            }
        }
    }

    void a_turned_matrix_multiplies_like_the_other_data() { add_targets(); }
    void a_turned_matrix_multiplies_like_the_other() {
        QFETCH(qint64, target);
        use_target(target);
        for (const auto [m, rows, cols] : {Shape{100, 37, 530}, {33, 64, 801}, {200, 700, 40}})
            for (const Side side : {Side::transposed, Side::plain}) {
                const std::int64_t in = side == Side::transposed ? cols : rows, out = side == Side::transposed ? rows : cols, stride = m + 7;
                const auto w = normal(1, rows * cols), a = normal(2, m * in);
                std::vector<float> turned(in * stride, 1e30f), c(m * out), of_turned(m * out);
                for (std::int64_t i = 0; i < m; ++i)
                    for (std::int64_t k = 0; k < in; ++k) turned[k * stride + i] = a[i * in + k];
                const AnyMatrix matrix = any_matrix(w.data(), rows, cols, cols);
                const auto check = [&](const auto& plain, const auto& other) {
                    multiply_matrix(plain.data(), in, m, matrix, side, 0, out, c.data(), out, false, Workspace().get());
                    multiply_matrix(other.data(), stride, m, matrix, side, 0, out, of_turned.data(), out, false, Workspace().get(), {.turned = true});
                    QVERIFY(first_difference(c, of_turned) < 0);
                };
                check(a, turned);
                if (multiplies_bf16(target)) check(halves(a), halves(turned));
            }
    }

    // Rows that hold zeros outside of a band, and rows of which only a band is asked for.
    void bands_are_left_out_data() { add_targets(); }
    void bands_are_left_out() {
        QFETCH(qint64, target);
        use_target(target);
        const std::int64_t m = 130, in = 300, out = 170;
        for (const Band band : {Band{-20, 40}, Band{.end = 1}, Band{.first = -100}, Band{-500, -400}, Band{5, 6}}) {
            auto a = normal(2, m * in);
            for (std::int64_t i = 0; i < m; ++i)
                for (std::int64_t k = 0; k < in; ++k)
                    if (k < i + band.first || k >= i + band.end) a[i * in + k] = 0;
            const auto w = normal(1, in * out), full = normal(3, m * in);
            const AnyMatrix matrix = any_matrix(w.data(), in, out, out);
            const auto check = [&](const auto& zeros, const auto& numbers, double tolerance) {
                std::vector<float> whole(m * out), banded(m * out), wanted(m * out), asked(m * out, NAN), with_origin(m * 64);
                const auto multiply = [&](const auto& from, std::vector<float>& c, const Details& details) {
                    multiply_matrix(from.data(), in, m, matrix, Side::plain, 0, out, c.data(), out, false, Workspace().get(), details);
                };
                multiply(zeros, whole, {});
                multiply(zeros, banded, {.elements = band});
                for (std::int64_t i = 0; i < m * out; ++i) QVERIFY(std::abs(whole[i] - banded[i]) <= tolerance * (1 + std::abs(whole[i])));
                multiply(numbers, wanted, {});
                multiply(numbers, asked, {.columns = band});
                for (std::int64_t i = 0; i < m; ++i)
                    for (std::int64_t j = std::max<std::int64_t>(0, i + band.first); j < std::min(out, i + band.end); ++j) QCOMPARE(asked[i * out + j], wanted[i * out + j]);
                multiply_matrix(numbers.data(), in, m, matrix, Side::plain, 64, 128, with_origin.data(), 64, false, Workspace().get(), {.origin = 64});
                for (std::int64_t i = 0; i < m; ++i)
                    for (std::int64_t j = 0; j < 64; ++j) QCOMPARE(with_origin[i * 64 + j], wanted[i * out + 64 + j]);
            };
            check(a, full, 1e-5);
            if (multiplies_bf16(target)) check(halves(a), halves(full), 1e-5);
        }
        QCOMPARE(Band(-3, 5).turned().first, std::int64_t{-4});
        QCOMPARE(Band(-3, 5).turned().end, std::int64_t{4});
    }

    void packed_matrices_multiply_in_bf16_like_their_rounded_values() {
        if (!has_bf16_products()) QSKIP("this processor multiplies no bf16");
        use_target(0);
        const auto check = [](const AnyMatrix& w, const std::vector<float>& values) {
            const auto rounded = halves(values);
            const AnyMatrix plain = any_matrix(BlockFormat::bf16, rounded.data(), w.rows, w.cols);
            for (const Side side : {Side::transposed, Side::plain}) {
                const auto a = normal(3, 17 * (side == Side::transposed ? w.cols : w.rows));
                QVERIFY(first_difference(product(a, 17, w, side, false, Arithmetic::bf16), product(a, 17, plain, side, false, Arithmetic::bf16)) < 0);
            }
        };
        for (const Code code : {Code::nf4, Code::fp4, Code::int4, Code::int3, Code::int8})
            for (const auto& [rows, cols] : {std::pair<std::int64_t, std::int64_t>{37, 64}, {40, 257}, {5, 601}, {600, 33}})
                for (const std::int64_t block : {std::int64_t{64}, cols}) {
                    const std::int64_t n = rows * cols;
                    std::vector<std::uint8_t> packed(packed_bytes(code, n));
                    std::vector<float> absmax(block_count(n, block)), values(n);
                    quantize(code, normal(n, n).data(), n, block, packed.data(), absmax.data());
                    const PackedRows matrix{.code = code, .rows = rows, .cols = cols, .block = block, .packed = packed.data(), .absmax = absmax.data()};
                    dequantize_rows(matrix, 0, rows, values.data());
                    check(any_matrix(matrix), values);
                }
        for (const BlockFormat format : {BlockFormat::f16, BlockFormat::q8_0, BlockFormat::q4_0, BlockFormat::q4_1, BlockFormat::q5_0,
                                         BlockFormat::q5_1, BlockFormat::q4_k, BlockFormat::q5_k, BlockFormat::q6_k}) {
            const std::int64_t rows = 37, cols = format == BlockFormat::f16 ? 301 : 512, bytes = rows * cols / block_elements(format) * block_bytes(format);
            std::vector<std::byte> data(bytes);
            for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(1 + i * 37 % 61);
            std::vector<float> values(rows * cols);
            dequantize(format, data.data(), rows * cols, values.data());
            check(any_matrix(format, data.data(), rows, cols), values);
        }
    }

    void packed_matrices_multiply_like_their_values_data() { add_targets(); }
    void packed_matrices_multiply_like_their_values() {
        QFETCH(qint64, target);
        use_target(target);
        for (const Code code : {Code::nf4, Code::fp4, Code::int4, Code::int3, Code::int8})
            for (const auto [m, rows, cols] : shapes)
                for (const std::int64_t block : {std::int64_t{64}, cols}) {
                    const std::int64_t n = rows * cols;
                    const auto x = normal(n, n);
                    std::vector<std::uint8_t> packed(packed_bytes(code, n));
                    std::vector<float> absmax(block_count(n, block)), w(n);
                    if (code == Code::int8 && block > 4096) continue;
                    quantize(code, x.data(), n, block, packed.data(), absmax.data());
                    const PackedRows matrix{.code = code,
                                            .rows = rows,
                                            .cols = cols,
                                            .block = block,
                                            .packed = packed.data(),
                                            .absmax = absmax.data()};
                    dequantize_rows(matrix, 0, rows, w.data());
                    for (const Side side : {Side::transposed, Side::plain}) {
                        const auto a = normal(m, m * (side == Side::transposed ? cols : rows));
                        compare(product(a, m, any_matrix(matrix), side, false),
                                exact(a, m, w, rows, cols, side), m, false);
                    }
                }
    }

    void blocks_of_gguf_multiply_like_their_values_data() { add_targets(); }
    void blocks_of_gguf_multiply_like_their_values() {
        QFETCH(qint64, target);
        use_target(target);
        for (const BlockFormat format :
             {BlockFormat::f16, BlockFormat::bf16, BlockFormat::q8_0, BlockFormat::q4_0, BlockFormat::q4_1,
              BlockFormat::q5_0, BlockFormat::q5_1, BlockFormat::q4_k, BlockFormat::q5_k,
              BlockFormat::q6_k}) {
            const std::int64_t rows = 37, cols = std::max<std::int64_t>(768, block_elements(format)), m = 17;
            const std::int64_t row_bytes = cols / block_elements(format) * block_bytes(format);
            std::vector<std::byte> data(rows * row_bytes);
            // Any bytes are blocks; small ones keep the scales, which are f16, finite.
            for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 37 % 61);
            std::vector<float> w(rows * cols);
            dequantize(format, data.data(), rows * cols, w.data());
            for (const Side side : {Side::transposed, Side::plain}) {
                const auto a = normal(m, m * (side == Side::transposed ? cols : rows));
                compare(product(a, m, any_matrix(format, data.data(), rows, cols), side, false),
                        exact(a, m, w, rows, cols, side), m, false);
            }
        }
    }

    void a_product_does_not_depend_on_how_it_is_split_data() { add_targets(); }
    void a_product_does_not_depend_on_how_it_is_split() {
        QFETCH(qint64, target);
        use_target(target);
        const std::int64_t m = 100, rows = 300, cols = 530;
        const auto w = normal(1, rows * cols), a = normal(2, m * cols), b = normal(3, m * rows);
        const AnyMatrix matrix = any_matrix(w.data(), rows, cols, cols);
        const Workspace workspace;
        for (const Side side : {Side::transposed, Side::plain}) {
            const std::int64_t in = side == Side::transposed ? cols : rows,
                               out = side == Side::transposed ? rows : cols;
            const auto& x = side == Side::transposed ? a : b;
            std::vector<float> whole(m * out), parts(m * out);
            multiply_matrix(x.data(), in, m, matrix, side, 0, out, whole.data(), out, false, workspace.get());
            for (std::int64_t row = 0; row < m; row += 37)
                for (std::int64_t begin = 0; begin < out; begin += 3 * gemm_columns)
                    multiply_matrix(x.data() + row * in, in, std::min<std::int64_t>(37, m - row), matrix,
                                    side, begin, std::min(out, begin + 3 * gemm_columns),
                                    parts.data() + row * out, out, false, workspace.get());
            QVERIFY(first_difference(whole, parts) < 0);
        }
    }

    void a_range_may_begin_inside_a_block_data() { add_targets(); }
    void a_range_may_begin_inside_a_block() {
        QFETCH(qint64, target);
        use_target(target);
        const std::int64_t rows = 20, cols = 768, m = 9;
        std::vector<std::byte> data(rows * cols / 256 * block_bytes(BlockFormat::q4_k));
        for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 37 % 61);
        const auto a = normal(m, m * rows);
        const AnyMatrix w = any_matrix(BlockFormat::q4_k, data.data(), rows, cols);
        std::vector<float> whole(m * cols), part(m * cols, 3.0f);
        const Workspace workspace;
        multiply_matrix(a.data(), rows, m, w, Side::plain, 0, cols, whole.data(), cols, false,
                        workspace.get());
        for (const auto& [begin, end] : {std::pair{96, 700}, {700 / 32 * 32, 768}, {0, 96}})
            multiply_matrix(a.data(), rows, m, w, Side::plain, begin, end, part.data(), cols, false,
                            workspace.get());
        QVERIFY(first_difference(whole, part) < 0);
    }

    void nothing_sums_up_to_zero() {
        std::vector<float> c(3 * 40, 5.0f);
        const Workspace workspace;
        multiply_matrix(static_cast<const float*>(nullptr), 0, 3, any_matrix(c.data(), 40, 0, 0), Side::transposed, 0, 40, c.data(), 40,
                        true, workspace.get());
        QVERIFY(first_difference(c, std::vector<float>(3 * 40, 5.0f)) < 0);
        multiply_matrix(static_cast<const float*>(nullptr), 0, 3, any_matrix(c.data(), 40, 0, 0), Side::transposed, 0, 40, c.data(), 40,
                        false, workspace.get());
        QVERIFY(first_difference(c, std::vector<float>(3 * 40, 0.0f)) < 0);
    }

    void infinite_and_nan_weights_stay_in_their_columns() {
        const std::int64_t rows = 40, cols = 50, m = 4;
        auto w = normal(1, rows * cols);
        w[3 * cols + 7] = NAN;
        w[39 * cols + 49] = INFINITY;
        const auto c =
            product(normal(2, m * cols), m, any_matrix(w.data(), rows, cols, cols), Side::transposed, false);
        for (std::int64_t i = 0; i < m; ++i)
            for (std::int64_t j = 0; j < rows; ++j)
                QCOMPARE(std::isfinite(c[i * (rows + outside) + j]), j != 3 && j != 39);
    }
};

QTEST_GUILESS_MAIN(GemmTest)
#include "gemm_test.moc"
