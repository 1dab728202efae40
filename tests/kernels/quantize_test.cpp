#include "kernels/quantize.h"

#include <random>

#include "core/base/random.h"
#include "golden.h"
#include "kernels/packed_rows.h"
#include "kernels/reference.h"

using namespace qlora::kernels;

namespace {

Code code_of(const std::string& name) {
    return name == "nf4" ? Code::nf4 : Code::fp4;
}

struct Quantized {
    std::vector<std::uint8_t> packed;
    std::vector<float> absmax, dequantized;
};

Quantized quantized(Code code, const std::vector<float>& x, std::int64_t block) {
    const auto n = static_cast<std::int64_t>(x.size());
    Quantized result{std::vector<std::uint8_t>(packed_bytes(code, n)),
                     std::vector<float>(block_count(n, block)), std::vector<float>(n)};
    quantize(code, x.data(), n, block, result.packed.data(), result.absmax.data());
    dequantize(code, result.packed.data(), result.absmax.data(), block, 0, n, result.dequantized.data());
    return result;
}

// Negative zeros made positive, as the golden script does.
std::vector<float> without_negative_zeros(std::vector<float> values) {
    for (float& value : values) value += 0.0f;
    return values;
}

double mean_error(Code code, std::int64_t block) {
    qlora::RandomStream random(5, "weights");
    std::vector<float> x(1 << 20);
    for (float& value : x) value = static_cast<float>(random.normal());
    const auto back = quantized(code, x, block).dequantized;
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::abs(double{x[i]} - back[i]);
    return sum / static_cast<double>(x.size());
}

}  // namespace

class QuantizeTest : public QObject {
    Q_OBJECT

  private slots:
    void the_code_books_are_those_of_bitsandbytes() {
        const auto golden = read_golden("bitsandbytes_golden.json");
        const auto same = [](std::span<const float> ours, const std::string& theirs) {
            const auto expected = floats_of_hex(theirs);
            return ours.size() == expected.size() && std::equal(ours.begin(), ours.end(), expected.begin());
        };
        QVERIFY(same(levels(Code::nf4), golden["levels"]["nf4"]));
        QVERIFY(same(levels(Code::fp4), golden["levels"]["fp4"]));
        QVERIFY(!same(levels(Code::nf4), golden["levels"]["fp4"]));
        QVERIFY(same(dynamic_map(DynamicMap::with_sign), golden["dynamic_map"]["with_sign"]));
        QVERIFY(same(dynamic_map(DynamicMap::without_sign), golden["dynamic_map"]["without_sign"]));
    }

    void means_have_the_bits_of_torch() {
        const auto golden = read_golden("bitsandbytes_golden.json");
        for (const auto& entry : golden["means"]) {
            auto x = normal(entry["seed"], entry["n"]);
            for (float& value : x) value = std::abs(value);
            const float ours = mean(x.data(), entry["n"]);
            QCOMPARE(hex(std::span<const float>(&ours, 1)), entry["mean"].get<std::string>());
        }
        QCOMPARE(golden["means"].size(), std::size_t{22});
        QCOMPARE(mean(nullptr, 0), 0.0f);
    }

    void four_bit_equals_bitsandbytes_bit_for_bit_data() { add_targets(); }
    void four_bit_equals_bitsandbytes_bit_for_bit() {
        QFETCH(qint64, target);
        use_target(target);
        // A whole embedding matrix once, on the best instruction set.
        static const qint64 best = target;
        int compared = 0;
        const auto golden = read_golden("bitsandbytes_golden.json");
        for (const auto& entry : golden["four_bit"]) {
            const std::int64_t n = entry["n"], block = entry["block"];
            if (entry.contains("name") || (target != best && n > 1000000)) continue;
            const Code code = code_of(entry["code"]);
            const auto x = normal(entry["seed"], n, entry["scale"]);
            auto ours = quantized(code, x, block);
            const auto check = [&](const char* what, const std::string& sha) {
                if (sha == entry[what]["sha256"].get<std::string>()) return true;
                qWarning("%s differs: %s", what, entry.dump().substr(0, 200).c_str());
                return false;
            };
            QVERIFY(check("packed", sha256(ours.packed)));
            if (entry["nested"]) {
                const auto blocks = static_cast<std::int64_t>(ours.absmax.size());
                std::vector<std::uint8_t> codes(blocks);
                std::vector<float> nested(block_count(blocks, nested_block)), restored(blocks);
                float offset;
                quantize_absmax(ours.absmax.data(), blocks, codes.data(), nested.data(), &offset);
                QCOMPARE(hex(std::span<const float>(&offset, 1)), entry["offset"].get<std::string>());
                QVERIFY(check("absmax_codes", sha256(codes)));
                QVERIFY(check("nested_absmax", sha256(nested)));
                dequantize_absmax(codes.data(), nested.data(), offset, 0, blocks, restored.data());
                dequantize(code, ours.packed.data(), restored.data(), block, 0, n, ours.dequantized.data());
                QVERIFY(check("dequantized", sha256(without_negative_zeros(ours.dequantized))));
                // Straight from the doubly quantized form.
                const PackedRows rows{.code = code,
                                      .rows = 1,
                                      .cols = n,
                                      .block = block,
                                      .packed = ours.packed.data(),
                                      .absmax_codes = codes.data(),
                                      .nested_absmax = nested.data(),
                                      .offset = offset};
                dequantize_rows(rows, 0, 1, ours.dequantized.data());
            } else {
                QVERIFY(check("absmax", sha256(ours.absmax)));
            }
            QVERIFY(check("dequantized", sha256(without_negative_zeros(ours.dequantized))));
            ++compared;
        }
        QVERIFY(compared >= 152);
    }

    void special_values_equal_bitsandbytes_data() { add_targets(); }
    void special_values_equal_bitsandbytes() {
        QFETCH(qint64, target);
        use_target(target);
        int compared = 0;
        const auto golden = read_golden("bitsandbytes_golden.json");
        for (const auto& entry : golden["four_bit"]) {
            if (!entry.contains("name")) continue;
            const auto x = floats_of_hex(entry["input"]);
            const auto ours = quantized(code_of(entry["code"]), x, entry["block"]);
            const std::string name =
                entry["name"].get<std::string>() + ", " + entry["code"].get<std::string>();
            QVERIFY2(sha256(ours.packed) == entry["packed"]["sha256"].get<std::string>(), name.c_str());
            QVERIFY2(first_difference(ours.absmax, floats_of_hex(entry["absmax"]["hex"])) < 0, name.c_str());
            const auto theirs = floats_of_hex(entry["dequantized"]["hex"]);
            QVERIFY2(first_difference(without_negative_zeros(ours.dequantized), theirs) < 0, name.c_str());
            ++compared;
        }
        QCOMPARE(compared, 26);
    }

    void fp4_keeps_the_sign_of_what_it_rounds_to_zero() {
        std::vector<float> x(64, 0.001f);
        x[0] = 1;
        const auto ours = quantized(Code::fp4, x, 64);
        QCOMPARE(ours.packed[1], std::uint8_t{0x88});
        QVERIFY(ours.dequantized[2] == 0 && std::signbit(ours.dequantized[2]));
    }

    void int8_by_row_equals_bitsandbytes_data() { add_targets(); }
    void int8_by_row_equals_bitsandbytes() {
        QFETCH(qint64, target);
        use_target(target);
        const auto golden = read_golden("bitsandbytes_golden.json");
        for (const auto& entry : golden["int8"]) {
            const std::int64_t rows = entry["rows"], cols = entry["cols"];
            const auto ours = quantized(Code::int8, normal(entry["seed"], rows * cols), cols);
            QCOMPARE(sha256(ours.packed), entry["packed"]["sha256"].get<std::string>());
            QCOMPARE(sha256(ours.absmax), entry["absmax"]["sha256"].get<std::string>());
            QCOMPARE(sha256(ours.dequantized), entry["dequantized"]["sha256"].get<std::string>());
        }
        QCOMPARE(golden["int8"].size(), std::size_t{5});
    }

    void int8_survives_zeros_infinities_and_nans_data() { add_targets(); }
    void int8_survives_zeros_infinities_and_nans() {
        QFETCH(qint64, target);
        use_target(target);
        const float inf = INFINITY, nan = NAN;
        for (const float odd : {0.0f, 1e-41f, inf, -inf, nan}) {
            std::vector<float> x(40, odd == 0 ? 0.0f : 1e-42f);
            x[7] = x[39] = odd;
            const auto ours = quantized(Code::int8, x, 40);
            std::vector<std::uint8_t> packed(40);
            float absmax;
            reference::quantize(Code::int8, x.data(), 40, 40, packed.data(), &absmax);
            QVERIFY(ours.packed == packed);
            QVERIFY(first_difference(ours.absmax, {&absmax, 1}) < 0);
            QVERIFY(std::isfinite(odd) == std::isfinite(ours.dequantized[7]));
        }
    }

    void every_code_equals_its_reference_data() { add_targets(); }
    void every_code_equals_its_reference() {
        QFETCH(qint64, target);
        use_target(target);
        for (const Code code : {Code::nf4, Code::fp4, Code::int4, Code::int3, Code::int8})
            for (const std::int64_t n : odd_lengths)
                for (const std::int64_t block : {1, 7, 32, 33, 64, 100, 4096, 5001}) {
                    const auto x = normal(n + block, n);
                    const auto ours = quantized(code, x, block);
                    std::vector<std::uint8_t> packed(ours.packed.size());
                    std::vector<float> absmax(ours.absmax.size()), out(n);
                    reference::quantize(code, x.data(), n, block, packed.data(), absmax.data());
                    QVERIFY(ours.packed == packed);
                    QVERIFY(first_difference(ours.absmax, absmax) < 0);
                    reference::dequantize(code, packed.data(), absmax.data(), block, 0, n, out.data());
                    QVERIFY(first_difference(ours.dequantized, out) < 0);
                }
    }

    void int4_rounds_to_sevenths() {
        const auto x = normal(3, 640);
        const auto ours = quantized(Code::int4, x, 64);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const float absmax = ours.absmax[i / 64];
            QVERIFY(std::abs(x[i] - ours.dequantized[i]) <= absmax / 14 * 1.00001f);
            const int nibble = i % 2 == 0 ? ours.packed[i / 2] >> 4 : ours.packed[i / 2] & 15;
            QVERIFY(nibble >= 1);
            QCOMPARE(ours.dequantized[i], absmax * (static_cast<float>(nibble - 8) / 7));
        }
    }

    void int3_rounds_to_thirds() {
        const std::vector<float> x{1.5f, -1.5f, 0.6f, 0.74f, 0.76f, -0.2f, -0.26f, 0};
        const auto ours = quantized(Code::int3, x, 8);
        QCOMPARE(ours.absmax, std::vector<float>{1.5f});
        QCOMPARE(ours.packed, (std::vector<std::uint8_t>{0x71, 0x55, 0x64, 0x34}));
        const auto many = normal(3, 641);
        const auto theirs = quantized(Code::int3, many, 641);
        for (std::size_t i = 0; i < many.size(); ++i) {
            const int nibble = i % 2 == 0 ? theirs.packed[i / 2] >> 4 : theirs.packed[i / 2] & 15;
            QVERIFY(nibble >= 1 && nibble <= 7);
            QVERIFY(std::abs(many[i] - theirs.dequantized[i]) <= theirs.absmax[0] / 6 * 1.00001f);
            QCOMPARE(theirs.dequantized[i], theirs.absmax[0] * (static_cast<float>(nibble - 4) / 3));
        }
        QVERIFY(mean_error(Code::int3, 64) > 1.5 * mean_error(Code::int4, 64));
    }

    void int3_survives_zeros_infinities_and_nans_data() { add_targets(); }
    void int3_survives_zeros_infinities_and_nans() {
        QFETCH(qint64, target);
        use_target(target);
        for (const float odd : {0.0f, INFINITY, -INFINITY, NAN}) {
            std::vector<float> x(45, 0.0f);
            x[3] = x[44] = odd;
            const auto ours = quantized(Code::int3, x, 45);
            QCOMPARE(std::isfinite(odd), std::isfinite(ours.dequantized[3]));
            for (const std::uint8_t byte : ours.packed) QVERIFY(byte >> 4 <= 7 && (byte & 15) <= 7 && byte >> 4 >= 1 && (byte & 15) >= 1);
        }
    }

    void a_row_of_any_length_has_one_scale_data() { add_targets(); }
    void a_row_of_any_length_has_one_scale() {
        QFETCH(qint64, target);
        use_target(target);
        for (const Code code : {Code::nf4, Code::fp4, Code::int4, Code::int3})
            for (const std::int64_t cols : {1, 31, 33, 77, 4099}) {
                constexpr std::int64_t rows = 6;
                const auto x = normal(cols, rows * cols);
                const auto whole = quantized(code, x, cols);
                QCOMPARE(whole.absmax.size(), std::size_t{rows});
                for (std::int64_t row = 0; row < rows; ++row) {
                    const std::vector<float> one(x.begin() + row * cols, x.begin() + (row + 1) * cols);
                    const auto alone = quantized(code, one, cols);
                    QCOMPARE(alone.absmax[0], whole.absmax[static_cast<std::size_t>(row)]);
                    QVERIFY(std::equal(alone.dequantized.begin(), alone.dequantized.end(), whole.dequantized.begin() + row * cols));
                }
            }
    }

    void errors_on_normal_weights_are_the_published_ones() {
        const double nf4 = mean_error(Code::nf4, 64), fp4 = mean_error(Code::fp4, 64),
                     int4 = mean_error(Code::int4, 64);
        qInfo("mean absolute errors at block 64: nf4 %.5f fp4 %.5f int4 %.5f", nf4, fp4, int4);
        QVERIFY(std::abs(nf4 - 0.0728) < 0.0005);
        QVERIFY(nf4 < fp4 && nf4 < int4);
        QVERIFY(mean_error(Code::nf4, 64) < mean_error(Code::nf4, 4096));
        QVERIFY(mean_error(Code::int8, 64) < nf4 / 10);
    }

    void a_changed_weight_changes_the_bytes() {
        auto x = normal(11, 4096);
        const auto before = quantized(Code::nf4, x, 64);
        x[1234] += 0.5f;
        const auto after = quantized(Code::nf4, x, 64);
        QVERIFY(sha256(before.packed) != sha256(after.packed));
    }

    void the_search_cuts_the_squared_error_of_normal_weights_data() { add_targets(); }
    void the_search_cuts_the_squared_error_of_normal_weights() {
        QFETCH(qint64, target);
        use_target(target);
        std::mt19937_64 random(21);
        std::normal_distribution<float> gaussian;
        std::vector<float> x(64 * 4000);
        for (float& one : x) one = gaussian(random);
        const auto n = static_cast<std::int64_t>(x.size());
        for (const auto& [code, cut] : {std::pair{Code::nf4, 0.144}, {Code::fp4, 0.148}, {Code::int4, 0.146}, {Code::int3, 0.333}}) {
            const auto plain = quantized(code, x, 64);
            auto searched = plain;
            search_scales(code, x.data(), n, 64, searched.absmax.data());
            encode(code, x.data(), n, 64, searched.absmax.data(), searched.packed.data());
            dequantize(code, searched.packed.data(), searched.absmax.data(), 64, 0, n, searched.dequantized.data());
            double before = 0, after = 0;
            for (std::size_t i = 0; i < x.size(); ++i) {
                before += std::pow(double{x[i]} - plain.dequantized[i], 2);
                after += std::pow(double{x[i]} - searched.dequantized[i], 2);
            }
            qInfo("of the squared error the search takes %.4f", 1 - after / before);
            QVERIFY(std::abs(1 - after / before - cut) < 0.006);
        }
    }

    void the_search_finds_what_its_reference_finds_data() { add_targets(); }
    void the_search_finds_what_its_reference_finds() {
        QFETCH(qint64, target);
        use_target(target);
        for (const Code code : {Code::nf4, Code::fp4, Code::int4, Code::int3})
            for (const std::int64_t block : {32, 61, 700}) {
                auto x = normal(block, 5 * block + 9, 0.02f);
                const auto n = static_cast<std::int64_t>(x.size());
                for (std::int64_t i = 0; i < block; ++i) x[static_cast<std::size_t>(i)] = 0;
                x[static_cast<std::size_t>(block + 2)] = NAN;
                std::vector<float> ours(6), theirs(6);
                search_scales(code, x.data(), n, block, ours.data());
                reference::search_scales(code, x.data(), n, block, theirs.data());
                QCOMPARE(ours[0], 0.0f);
                QVERIFY(std::isnan(ours[1]));
                std::vector<std::uint8_t> packed(packed_bytes(code, n)), expected(packed.size());
                std::vector<float> out(x.size());
                const auto error = [&](const std::vector<float>& scales, std::int64_t b) {
                    reference::encode(code, x.data(), n, block, scales.data(), expected.data());
                    reference::dequantize(code, expected.data(), scales.data(), block, 0, n, out.data());
                    double sum = 0;
                    for (std::int64_t i = b * block; i < std::min(n, (b + 1) * block); ++i)
                        sum += std::pow(double{x[static_cast<std::size_t>(i)]} - out[static_cast<std::size_t>(i)], 2);
                    return sum;
                };
                for (std::int64_t b = 2; b < 6; ++b) QVERIFY(error(ours, b) <= error(theirs, b) * 1.001);
                encode(code, x.data(), n, block, ours.data(), packed.data());
                reference::encode(code, x.data(), n, block, ours.data(), expected.data());
                QVERIFY(packed == expected);
            }
    }

    void parts_quantized_apart_make_the_whole() {
        const auto x = normal(12, 64 * 50 + 17);
        const auto whole = quantized(Code::nf4, x, 64);
        Quantized parts = whole;
        std::fill(parts.packed.begin(), parts.packed.end(), 0);
        const std::int64_t cut = 64 * 20, n = static_cast<std::int64_t>(x.size());
        quantize(Code::nf4, x.data(), cut, 64, parts.packed.data(), parts.absmax.data());
        quantize(Code::nf4, x.data() + cut, n - cut, 64, parts.packed.data() + cut / 2,
                 parts.absmax.data() + cut / 64);
        QVERIFY(parts.packed == whole.packed);
        QVERIFY(parts.absmax == whole.absmax);
    }
};

QTEST_GUILESS_MAIN(QuantizeTest)
#include "quantize_test.moc"
