#include "golden.h"
#include "kernels/quantize.h"

using namespace qlora::kernels;

class DynamicTest : public QObject {
    Q_OBJECT

  private slots:
    void each_value_gets_its_nearest_level() {
        for (const DynamicMap map : {DynamicMap::with_sign, DynamicMap::without_sign}) {
            const auto levels = dynamic_map(map);
            for (const std::int64_t n : odd_lengths) {
                auto x = normal(n, n);
                for (std::int64_t i = 0; i < n; ++i) {
                    x[i] = std::ldexp(x[i], -static_cast<int>(hash64(1, i) % 20));
                    if (map == DynamicMap::without_sign) x[i] = std::abs(x[i]);
                }
                std::vector<std::uint8_t> codes(n);
                std::vector<float> absmax(block_count(n, 256)), back(n);
                quantize_dynamic(map, x.data(), n, 256, codes.data(), absmax.data());
                dequantize_dynamic(map, codes.data(), absmax.data(), 256, 0, n, back.data());
                for (std::int64_t i = 0; i < n; ++i) {
                    const float scaled = x[i] / absmax[i / 256];
                    double best = 3;
                    for (const float level : levels) best = std::min(best, std::abs(double{level} - scaled));
                    // Nearest, but for the rounding of the midpoint.
                    QVERIFY(std::abs(double{levels[codes[i]]} - scaled) <= best + std::abs(scaled) * 0x1p-23);
                    QCOMPARE(back[i], levels[codes[i]] * absmax[i / 256]);
                }
            }
        }
    }

    void levels_come_back_as_themselves() {
        for (const DynamicMap map : {DynamicMap::with_sign, DynamicMap::without_sign}) {
            const auto levels = dynamic_map(map);
            std::vector<std::uint8_t> codes(256);
            float absmax;
            quantize_dynamic(map, levels.data(), 256, 256, codes.data(), &absmax);
            for (int i = 0; i < 256; ++i) QCOMPARE(int{codes[i]}, i);
            std::vector<float> part(10);
            dequantize_dynamic(map, codes.data(), &absmax, 256, 100, 10, part.data());
            QVERIFY(std::equal(part.begin(), part.end(), levels.begin() + 100));
        }
    }

    void zeros_stay_zeros_and_a_nan_spreads_in_its_block_only() {
        std::vector<float> x(96, 0.0f), back(96);
        x[40] = NAN;
        x[41] = 1;
        std::vector<std::uint8_t> codes(96);
        std::vector<float> absmax(3);
        quantize_dynamic(DynamicMap::with_sign, x.data(), 96, 32, codes.data(), absmax.data());
        dequantize_dynamic(DynamicMap::with_sign, codes.data(), absmax.data(), 32, 0, 96, back.data());
        for (int i = 0; i < 96; ++i) QVERIFY(i / 32 == 1 ? std::isnan(back[i]) : back[i] == 0);
    }

    void doubly_quantized_scales_are_within_half_a_step() {
        auto absmax = normal(8, 5000);
        for (float& value : absmax) value = 2 + std::abs(value);
        std::vector<std::uint8_t> codes(5000);
        std::vector<float> nested(block_count(5000, nested_block)), back(5000), part(300);
        float offset;
        quantize_absmax(absmax.data(), 5000, codes.data(), nested.data(), &offset);
        dequantize_absmax(codes.data(), nested.data(), offset, 0, 5000, back.data());
        for (int i = 0; i < 5000; ++i)
            QVERIFY(std::abs(back[i] - absmax[i]) <= nested[i / nested_block] * 0.0075f);
        dequantize_absmax(codes.data(), nested.data(), offset, 1111, 300, part.data());
        QVERIFY(std::equal(part.begin(), part.end(), back.begin() + 1111));
    }
};

QTEST_GUILESS_MAIN(DynamicTest)
#include "dynamic_test.moc"
