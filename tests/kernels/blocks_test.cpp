#include "kernels/blocks.h"

#include "golden.h"
#include "kernels/reference.h"

using namespace qlora::kernels;

namespace {

constexpr BlockFormat formats[] = {BlockFormat::f32,  BlockFormat::f16,  BlockFormat::bf16, BlockFormat::q8_0,
                                   BlockFormat::q4_0, BlockFormat::q4_1, BlockFormat::q5_0, BlockFormat::q5_1,
                                   BlockFormat::q4_k, BlockFormat::q5_k, BlockFormat::q6_k};

// Random bytes whose f16 numbers, at the given offsets of each block, are finite and below 2.
std::vector<std::byte> random_blocks(std::uint64_t seed, std::int64_t count, std::int64_t bytes,
                                     const std::vector<std::int64_t>& halves) {
    std::vector<std::byte> data(count * bytes);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(hash64(seed, i));
    for (std::int64_t block = 0; block < count; ++block)
        for (const std::int64_t at : halves) data[block * bytes + at + 1] &= std::byte{0xBF};
    return data;
}

std::vector<std::byte> random_rows(BlockFormat format, std::int64_t elements) {
    const auto x = normal(9, elements);
    std::vector<std::byte> data(elements / block_elements(format) * block_bytes(format));
    switch (format) {
        case BlockFormat::f32:
            std::memcpy(data.data(), x.data(), data.size());
            return data;
        case BlockFormat::f16:
        case BlockFormat::bf16:
            for (std::int64_t i = 0; i < elements; ++i) {
                const std::uint16_t half =
                    format == BlockFormat::f16 ? reference::f32_to_f16(x[i]) : reference::f32_to_bf16(x[i]);
                std::memcpy(data.data() + 2 * i, &half, 2);
            }
            return data;
        case BlockFormat::q6_k:
            return random_blocks(3, elements / 256, 210, {208});
        case BlockFormat::q8_0:
        case BlockFormat::q4_0:
        case BlockFormat::q5_0:
            return random_blocks(4, elements / 32, block_bytes(format), {0});
        default:
            return random_blocks(5, elements / block_elements(format), block_bytes(format), {0, 2});
    }
}

}  // namespace

class BlocksTest : public QObject {
    Q_OBJECT

  private slots:
    void every_format_dequantizes_like_gguf_py_data() { add_targets(); }
    void every_format_dequantizes_like_gguf_py() {
        QFETCH(qint64, target);
        use_target(target);
        const auto golden = read_golden("gguf_blocks.json");
        QCOMPARE(golden["blocks"].size(), std::size_t{8});
        for (const auto& entry : golden["blocks"]) {
            const auto* format = std::find_if(std::begin(formats), std::end(formats), [&](BlockFormat f) {
                return block_format_name(f) == entry["format"].get<std::string>();
            });
            QVERIFY(format != std::end(formats));
            QCOMPARE(block_elements(*format), entry["elements"].get<std::int64_t>());
            QCOMPARE(block_bytes(*format), entry["block_bytes"].get<std::int64_t>());
            auto data = random_blocks(entry["seed"], entry["blocks"], entry["block_bytes"], entry["halves"]);
            const std::int64_t n = entry["blocks"].get<std::int64_t>() * block_elements(*format);
            std::vector<float> out(n);
            dequantize(*format, data.data(), n, out.data());
            QCOMPARE(hex(std::span<const float>(out).first(8)), entry["first"].get<std::string>());
            QCOMPARE(sha256(out), entry["sha256"].get<std::string>());
            reference::dequantize(*format, data.data(), n, out.data());
            QCOMPARE(sha256(out), entry["sha256"].get<std::string>());
            data[n / 50] ^= std::byte{1};
            dequantize(*format, data.data(), n, out.data());
            QVERIFY(sha256(out) != entry["sha256"].get<std::string>());
        }
    }

    void every_format_equals_its_reference_at_any_address_data() { add_targets(); }
    void every_format_equals_its_reference_at_any_address() {
        QFETCH(qint64, target);
        use_target(target);
        for (const BlockFormat format : formats)
            for (const std::int64_t length : odd_lengths) {
                const std::int64_t n = length * block_elements(format);
                const auto data = random_rows(format, n);
                std::vector<std::byte> moved(data.size() + 1);
                std::copy(data.begin(), data.end(), moved.begin() + 1);
                std::vector<float> ours(n), theirs(n);
                dequantize(format, moved.data() + 1, n, ours.data());
                reference::dequantize(format, data.data(), n, theirs.data());
                QVERIFY2(first_difference(ours, theirs) < 0, block_format_name(format).data());
            }
    }

    void products_are_those_of_the_dequantized_matrix_data() { add_targets(); }
    void products_are_those_of_the_dequantized_matrix() {
        QFETCH(qint64, target);
        use_target(target);
        for (const BlockFormat format : formats)
            for (const std::int64_t cols :
                 {std::int64_t{1}, std::int64_t{37}, std::int64_t{256}, std::int64_t{768}}) {
                if (cols % block_elements(format) != 0) continue;
                const std::int64_t rows = 5;
                const auto data = random_rows(format, rows * cols);
                std::vector<float> weights(rows * cols);
                reference::dequantize(format, data.data(), rows * cols, weights.data());
                for (const std::int64_t vectors : {1, 2, 3, 4, 8, 11}) {
                    const auto x = normal(cols + vectors, vectors * cols);
                    std::vector<float> y(vectors * rows, -1.0f), exact(rows), single(rows, -1.0f);
                    multiply_several(format, data.data(), rows, cols, x.data(), vectors, 1, rows, y.data());
                    for (std::int64_t v = 0; v < vectors; ++v) {
                        QCOMPARE(y[v * rows], -1.0f);
                        reference::multiply(format, data.data(), cols, x.data() + v * cols, 1, rows,
                                            exact.data());
                        for (std::int64_t r = 1; r < rows; ++r) {
                            double magnitude = 0;
                            for (std::int64_t c = 0; c < cols; ++c)
                                magnitude += std::abs(double{weights[r * cols + c]} * x[v * cols + c]);
                            QVERIFY(std::abs(y[v * rows + r] - exact[r]) <= magnitude * 0x1p-21 + 1e-30);
                        }
                    }
                    if (vectors == 1) {
                        multiply(format, data.data(), cols, x.data(), 1, rows, single.data());
                        QVERIFY(single == y);
                    }
                }
            }
    }
};

QTEST_GUILESS_MAIN(BlocksTest)
#include "blocks_test.moc"
