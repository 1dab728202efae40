#include "kernels/dropout.h"

#include <array>
#include <cmath>

#include "core/base/random.h"
#include "golden.h"

using namespace qlora::kernels;

namespace {

// Philox 2x32-10 by its definition (Salmon et al. 2011).
std::array<std::uint32_t, 2> philox2(std::uint32_t a, std::uint32_t b, std::uint32_t key) {
    for (int round = 0; round < 10; ++round, key += 0x9E3779B9u) {
        const std::uint64_t product = std::uint64_t{0xD256D193u} * a;
        a = static_cast<std::uint32_t>(product >> 32) ^ key ^ b;
        b = static_cast<std::uint32_t>(product);
    }
    return {a, b};
}

}  // namespace

class DropoutTest : public QObject {
    Q_OBJECT

  private slots:
    // The authors' known answers (Random123, kat_vectors).
    void the_definition_gives_the_known_answers() {
        QCOMPARE(philox2(0, 0, 0), (std::array<std::uint32_t, 2>{0xff1dae59u, 0x6cd10df2u}));
        QCOMPARE(philox2(0xffffffffu, 0xffffffffu, 0xffffffffu), (std::array<std::uint32_t, 2>{0x2c3f628bu, 0xab4fd7adu}));
        QCOMPARE(philox2(0x243f6a88u, 0x85a308d3u, 0x13198a2eu), (std::array<std::uint32_t, 2>{0xdd7ce038u, 0xf62a4c12u}));
    }

    void elements_take_the_words_of_their_stream_data() { add_targets(); }
    void elements_take_the_words_of_their_stream() {
        QFETCH(qint64, target);
        use_target(target);
        const DropoutStream stream{{3, 4, 0x80000005u}, {6, 7}};
        const auto rate = dropout_rate(0.3);
        const auto x = normal(1, 1000);
        for (const std::int64_t first : {0, 25}) {
            for (const std::int64_t n : {1, 7, 64, 193, 1000 - 100}) {
                std::vector<float> out(n + 1, 9.0f);
                drop(rate, stream, first, x.data() + 4 * first, n, out.data());
                for (std::int64_t i = 0; i < n; ++i) {
                    const auto words = qlora::philox({static_cast<std::uint32_t>(first + i / 4), 3, 4, 0x80000005u}, {6, 7});
                    QCOMPARE(out[i], x[4 * first + i] * (words[i % 4] < rate.threshold ? 0.0f : rate.keep));
                }
                QCOMPARE(out[n], 9.0f);
            }
        }
    }

    void probabilities_take_the_words_of_their_query_and_key_data() { add_targets(); }
    void probabilities_take_the_words_of_their_query_and_key() {
        QFETCH(qint64, target);
        use_target(target);
        const ScoreDropout dropout{dropout_rate(0.25), 99};
        std::vector<float> factors(21 * 37 + 1, 9.0f);
        score_factors(dropout, 5, 21, 37, factors.data());
        for (std::uint32_t i = 0; i < 21; ++i)
            for (std::uint32_t j = 0; j < 37; ++j)
                QCOMPARE(factors[i * 37 + j], philox2(j, i + 5, 99)[0] < dropout.rate.threshold ? 0.0f : dropout.rate.keep);
        QCOMPARE(factors.back(), 9.0f);
    }

    void as_many_fall_as_asked_for() {
        const ScoreDropout dropout{dropout_rate(0.1), 1};
        std::vector<float> factors(1000 * 1000);
        score_factors(dropout, 0, 1000, 1000, factors.data());
        double sum = 0;
        for (const float f : factors) sum += f;
        QVERIFY(std::abs(sum / 1e6 - 1) < 5 * std::sqrt(0.1 / 0.9 / 1e6));
    }
};

QTEST_GUILESS_MAIN(DropoutTest)
#include "dropout_test.moc"
